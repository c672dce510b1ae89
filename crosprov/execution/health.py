"""Ask the services of many hosts, once each, whether they are ready."""

from __future__ import annotations

from crosprov.errors import HostError
from crosprov.execution.fleet import Fleet
from crosprov.execution.readiness import answer
from crosprov.execution.runner import Runner
from crosprov.planning.plan import Plan


def unready_questions(plan: Plan, fleet: Fleet, runner: Runner) -> dict[str, tuple[str, ...]]:
    """Map each host to what its services answered wrongly; a good host maps to nothing."""
    plans = {host.host: host for host in plan.hosts}

    def work(name: str) -> tuple[str, ...]:
        try:
            transport = fleet.transport(plans[name].target)
            said = ((q, answer(q, transport)) for q in plans[name].readiness)
            return tuple(f"{question}: {text}" for question, text in said if text is not None)
        except HostError as error:
            return (error.message,)

    return runner.run({name: () for name in plans}, work)

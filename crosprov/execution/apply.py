"""Carry a lab's plan out: in the order of references, behind readiness, and verified."""

from __future__ import annotations

import getpass
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import Field, computed_field

from crosprov.errors import CrosprovError, HostError, HostSilent, StalePlan
from crosprov.execution.events import (
    Blocked,
    ChangeDone,
    ChangeStarted,
    Emit,
    Event,
    Failed,
    Finished,
    Outcome,
    Verified,
    Waiting,
    WaveOpened,
)
from crosprov.execution.executor import carry_out
from crosprov.execution.fleet import Fleet
from crosprov.execution.readiness import wait_until_ready
from crosprov.execution.rebooting import Return
from crosprov.execution.runner import Runner
from crosprov.planning.plan import Change, Frozen, HostPlan, Plan
from crosprov.planning.planner import HostModel, changed_facts, propose
from crosprov.secrets import Vault


class ChangeReport(Frozen):
    """A change that was carried out, or is left."""

    resource: str
    action: str


class HostReport(Frozen):
    """How a run ended for one host."""

    host: str
    outcome: Outcome
    done: tuple[ChangeReport, ...] = ()
    left: tuple[ChangeReport, ...] = ()
    error: str | None = None
    message: str | None = None
    hint: str | None = None
    blocked_by: str | None = None
    round_trips: int = 0
    seconds: float = 0.0


class Report(Frozen):
    """How a run ended."""

    lab: str
    run: str
    by: str
    hosts: tuple[HostReport, ...]
    verified: bool = Field(
        True, description="changed hosts were planned once more; not so after a saved plan"
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def converged(self) -> bool:
        """Tell whether every host is as the inventory says."""
        return all(host.outcome.good for host in self.hosts)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def round_trips(self) -> int:
        """Count the commands that were sent, planning included."""
        return sum(host.round_trips for host in self.hosts)


Models = Mapping[str, Callable[[], HostModel]]


@dataclass(slots=True)
class Apply:
    """One run of a plan; `models` are needed to verify, and may be empty for a saved plan."""

    plan: Plan
    fleet: Fleet
    runner: Runner
    vault: Vault
    emit: Emit
    models: Models = field(default_factory=dict)
    check_first: bool = False  # ask once more whether the hosts look as planned
    ready_within: float = 60.0  # seconds
    stop: threading.Event = field(default_factory=threading.Event)
    run_id: str = field(default_factory=lambda: secrets.token_hex(6))
    by: str = field(default_factory=lambda: f"{getpass.getuser()}@{socket.gethostname()}")

    def __call__(self) -> Report:
        """Carry the plan out; errors of a host are in the report, others go on.

        Raises StalePlan before anything is changed when `check_first` finds a difference.
        """
        if self.check_first:
            self._check()
        plans = {host.host: host for host in self.plan.hosts}
        reports: dict[str, HostReport] = {
            f.host: HostReport(
                host=f.host, error=f.error, message=f.message, hint=f.hint,
                outcome=Outcome.NOT_PLANNED if f.reached else Outcome.UNREACHED,
            )
            for f in self.plan.failures
        }  # fmt: skip
        waves = {name: n for n, wave in enumerate(self.plan.waves, 1) for name in wave}
        gates = _gates(plans)

        def work(name: str) -> HostReport:
            report = self._host(plans[name], reports, waves.get(name, 1), name in gates)
            reports[name] = report
            self.emit(Finished(name, report.outcome))
            return report

        self.runner.run({name: plan.needs for name, plan in plans.items()}, work)
        order = [f.host for f in self.plan.failures] + list(plans)
        return Report(
            lab=self.plan.lab, run=self.run_id, by=self.by,
            hosts=tuple(reports[name] for name in order if name in reports),
            verified=bool(self.models),
        )  # fmt: skip

    def _check(self) -> None:
        plans = {host.host: host for host in self.plan.hosts}

        def work(name: str) -> tuple[str, ...]:
            try:
                return changed_facts(plans[name], self.fleet.transport(plans[name].target))
            except HostError:
                return ()  # it is met again, and told, when its changes are to begin

        differing = self.runner.run({name: () for name in plans}, work)
        stale = {name: facts for name, facts in differing.items() if facts}
        if stale:
            (first, facts), *others = stale.items()
            more = "".join(f"; nor does {name}: {_some(facts)}" for name, facts in others)
            raise StalePlan(
                f"{first} no longer looks as it did when the plan was made: {_some(facts)}{more}",
                hint="make a new plan; nothing was changed",
            )

    def _host(
        self, plan: HostPlan, reports: Mapping[str, HostReport], wave: int, is_gate: bool
    ) -> HostReport:
        if self.stop.is_set():
            return self._report(plan, Outcome.UNCHANGED if plan.empty else Outcome.INTERRUPTED)
        blocker = next(
            (n for n in plan.needs if n in reports and not reports[n].outcome.good), None
        )
        if blocker is not None and not plan.empty:
            self.emit(Blocked(plan.host, blocker))
            return self._report(plan, Outcome.BLOCKED, blocked_by=blocker)
        started = time.monotonic()
        trips = self.fleet.round_trips(plan.target.name)
        begun: list[Change] = []
        done: list[Change] = []
        left: tuple[Change, ...] = ()
        trouble: CrosprovError | None = None
        try:
            self.emit(WaveOpened(plan.host, wave))
            self._carry_out(plan, is_gate, self._collecting(begun, done))
            left = self._verify(plan)
        except CrosprovError as error:
            trouble = error
        spent: dict[str, object] = {
            "done": _reported(done),
            "round_trips": plan.round_trips + self.fleet.round_trips(plan.target.name) - trips,
            "seconds": round(time.monotonic() - started, 3),
        }
        if trouble is not None:
            return self._failed(plan, trouble, begun[len(done) :], spent)
        outcome = (
            Outcome.NOT_CONVERGED if left else Outcome.UNCHANGED if plan.empty else Outcome.CHANGED
        )
        return self._report(plan, outcome, left=_reported(left), **spent)

    def _carry_out(self, plan: HostPlan, is_gate: bool, emit: Emit) -> None:
        transport = self.fleet.transport(plan.target)
        carry_out(
            plan, transport, vault=self.vault, who=self.by, run=self.run_id, emit=emit,
            come_back=Return(
                connect=lambda: self.fleet.transport(plan.target),
                drop=lambda: self.fleet.drop(plan.target.name), emit=emit, stop=self.stop,
            ),
        )  # fmt: skip
        if is_gate:
            wait_until_ready(
                plan, self.fleet.transport(plan.target), within=self.ready_within,
                waiting=lambda probe: self.emit(Waiting(plan.host, probe)),
            )  # fmt: skip

    def _collecting(self, begun: list[Change], done: list[Change]) -> Emit:
        """Pass events on, and remember the changes that were begun and done before a failure."""

        def emit(event: Event) -> None:
            if isinstance(event, ChangeStarted):
                begun.append(event.change)
            if isinstance(event, ChangeDone):
                done.append(event.change)
            self.emit(event)

        return emit

    def _failed(
        self,
        plan: HostPlan,
        error: CrosprovError,
        under_way: list[Change],
        spent: Mapping[str, object],
    ) -> HostReport:
        if self.stop.is_set():
            outcome = Outcome.INTERRUPTED
            if isinstance(error, HostSilent):  # we closed its connection ourselves
                error = _stopped(plan.host, under_way)
        else:
            self.emit(Failed(plan.host, error))
            outcome = Outcome.FAILED
        return self._report(
            plan, outcome, error=error.kind, message=error.message, hint=error.hint, **spent
        )  # fmt: skip

    def _verify(self, plan: HostPlan) -> tuple[Change, ...]:
        """Plan the host once more after its changes; what is left was not converged."""
        if plan.empty or plan.host not in self.models:
            return ()
        again = propose(self.models[plan.host](), self.fleet.transport(plan.target))
        self.emit(Verified(plan.host, again.changes))
        return again.changes

    def _report(self, plan: HostPlan, outcome: Outcome, **values: object) -> HostReport:
        known = {"round_trips": plan.round_trips, **values}
        return HostReport.model_validate({"host": plan.host, "outcome": outcome, **known})


def _some(facts: tuple[str, ...]) -> str:
    more = f" and {len(facts) - 2} more" if len(facts) > 2 else ""
    return ", ".join(facts[:2]) + more


def _stopped(host: str, under_way: list[Change]) -> HostError:
    """Say what an interrupted host still does on its own."""
    ends = "stopped before its next change"
    if under_way:
        ends = f"stopped; the host still finishes {under_way[0].resource}, and nothing after it"
    return HostError(host, ends, hint="the next run goes on from what it finds")


def _gates(plans: Mapping[str, HostPlan]) -> frozenset[str]:
    """Name the hosts that must prove to be ready: a host with changes needs them.

    Where nothing is to change behind a gate, nobody has to ask.
    """
    return frozenset(
        need for plan in plans.values() if not plan.empty for need in plan.needs if need in plans
    )


def _reported(changes: tuple[Change, ...] | list[Change]) -> tuple[ChangeReport, ...]:
    return tuple(ChangeReport(resource=str(c.resource), action=c.action.value) for c in changes)

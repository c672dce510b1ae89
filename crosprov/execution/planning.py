"""Plan many hosts at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crosprov import __version__
from crosprov.errors import CrosprovError
from crosprov.execution.events import Connecting, Emit, Failed, Held, Planned
from crosprov.execution.fleet import Fleet
from crosprov.execution.runner import Runner
from crosprov.planning.plan import HostFailure, HostPlan, Plan
from crosprov.planning.planner import HostModel, draw, propose
from crosprov.transport.base import SshTarget

if TYPE_CHECKING:
    from crosprov.planning.engine import Drawing


@dataclass(frozen=True, slots=True)
class Subject:
    """A host of a run: how it is reached, and how its model is made when it is needed.

    Hosts of equal `likeness` are asked the same to begin with.
    """

    target: SshTarget
    model: Callable[[], HostModel]
    likeness: object = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about."""

    lab: str
    inventory: str
    subjects: Mapping[str, Subject]
    waves: Sequence[Sequence[str]] = ()
    twin: bool = False


def plan_lab(scope: Scope, fleet: Fleet, runner: Runner, emit: Emit) -> Plan:
    """Plan all hosts of a scope; a host that fails is listed, the others go on."""

    questions = FirstQuestions()

    def work(name: str) -> HostPlan | HostFailure:
        return _plan_host(name, scope.subjects[name], questions, fleet, emit)

    results = runner.run({name: () for name in scope.subjects}, work).values()
    return Plan(
        crosprov=__version__,
        lab=scope.lab,
        inventory=scope.inventory,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        twin=scope.twin,
        hosts=tuple(r for r in results if isinstance(r, HostPlan)),
        failures=tuple(r for r in results if isinstance(r, HostFailure)),
        waves=tuple(tuple(wave) for wave in scope.waves),
    )


class FirstQuestions:
    """What hosts are asked in their first round trip, worked out once for those that are alike.

    A guess: what a host needs beyond it is asked in a second one.
    """

    def __init__(self) -> None:
        self._known: list[tuple[object, Drawing]] = []
        self._lock = threading.Lock()

    def of(self, likeness: object, model: HostModel) -> Drawing:
        """Draw the host without answers, or give what that was for another one like it."""
        with self._lock:
            for known, drawing in self._known:
                if likeness is not None and known == likeness:
                    return drawing
            drawing = draw(model, {})
            self._known.append((likeness, drawing))
            return drawing


def failure_of(name: str, error: CrosprovError) -> HostFailure:
    """Put an error into a plan."""
    return HostFailure(
        host=name, error=error.kind, message=error.message, hint=error.hint, reached=error.reached
    )


def _plan_host(
    name: str, subject: Subject, questions: FirstQuestions, fleet: Fleet, emit: Emit
) -> HostPlan | HostFailure:
    emit(Connecting(name))
    started = time.monotonic()
    try:
        transport = fleet.transport(subject.target)
        model = subject.model()
        plan = propose(
            model,
            transport,
            questions.of(subject.likeness, model),
            held=lambda owner: emit(Held(name, owner)),
        )
    except CrosprovError as error:
        emit(Failed(name, error))
        return failure_of(name, error)
    plan = plan.model_copy(update={"seconds": round(time.monotonic() - started, 3)})
    emit(Planned(name, plan))
    return plan

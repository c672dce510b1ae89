"""Apply twice on a twin, to prove that the second time has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from crosprov.execution.apply import Report
from crosprov.execution.events import Emit
from crosprov.planning.plan import Frozen, Plan
from crosprov.session import Session

Show = Callable[[int, str], AbstractContextManager[Emit]]


class Rehearsal(Frozen):
    """The first plan, how it went, and the plan after it (None when hosts failed)."""

    first: Plan
    report: Report
    second: Plan | None

    @property
    def exit_code(self) -> int:
        """Give 0 for an empty second plan, 4 when hosts failed, 1 when it is not empty."""
        if self.second is None:
            return 4
        return 0 if self.second.empty and not self.second.failures else 1


def rehearse(session: Session, show: Show) -> Rehearsal:
    """Plan, apply and plan again; nothing is asked, for a twin is nobody's lab.

    `show` is given the number of hosts and the title of each of the three steps, and gives
    the function that is told the step's events. When the run is stopped while it applies,
    there is no second plan; before and after that, KeyboardInterrupt is raised.
    """
    with session.fleet() as fleet:
        with show(len(session.chosen), "planning") as emit:
            first = session.plan(fleet, emit)
        with show(len(first.hosts), "applying") as emit:
            report = session.apply(first, fleet, emit, check_first=False)
        second = None
        if report.converged and not session.stop.is_set():
            with show(len(session.chosen), "planning again") as emit:
                second = session.plan(fleet, emit)
    return Rehearsal(first=first, report=report, second=second)

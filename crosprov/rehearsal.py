"""Apply twice on a twin, to prove that the second time has nothing to do."""

from __future__ import annotations

from crosprov.execution.apply import Report
from crosprov.execution.events import Emit
from crosprov.planning.plan import Frozen, Plan
from crosprov.session import Session


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


def rehearse(session: Session, emit: Emit) -> Rehearsal:
    """Plan, apply and plan again; nothing is asked, for a twin is nobody's lab."""
    with session.fleet() as fleet:
        first = session.plan(fleet, emit)
        report = session.apply(first, fleet, emit, check_first=False)
        second = session.plan(fleet, emit) if report.converged else None
    return Rehearsal(first=first, report=report, second=second)

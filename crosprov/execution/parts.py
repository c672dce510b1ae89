"""Split a host's plan where the host reboots: each part is one script on one connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crosprov.planning.plan import Change, HostPlan, Reboot, Step


@dataclass(frozen=True, slots=True)
class Piece:
    """The steps of a change that stand between two reboots; most changes are one piece."""

    number: int  # of the change in its plan, from zero
    change: Change
    steps: tuple[Step, ...]
    begins: bool
    ends: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What is carried out by one boot of the host, and the reboot that ends it."""

    pieces: tuple[Piece, ...]
    reboot: Reboot | None = None

    def limit(self, usual: float) -> float:
        """Give the seconds that the part may take, when a change usually has `usual`."""
        return sum(max(usual, piece.change.within or 0.0) for piece in self.pieces)


def parts(plan: HostPlan) -> tuple[Part, ...]:
    """Split a plan; the last part, which no reboot ends, ends the last change.

    The steps of all parts, with the reboots between them, are those of the plan in their order.
    """
    found: list[Part] = []
    pieces: list[Piece] = []
    for number, change in enumerate(plan.changes):
        runs = tuple(_runs(change))
        for place, (steps, reboot) in enumerate(runs):
            first, last = place == 0, place == len(runs) - 1
            pieces.append(Piece(number, change, steps, begins=first, ends=last))
            if reboot is not None:
                found.append(Part(tuple(pieces), reboot))
                pieces = []
    return (*found, Part(tuple(pieces)))


def _runs(change: Change) -> Iterator[tuple[tuple[Step, ...], Reboot | None]]:
    """Give the steps before each reboot with that reboot, then those after the last one."""
    steps: list[Step] = []
    for step in change.steps:
        if isinstance(step, Reboot):
            yield tuple(steps), step
            steps = []
        else:
            steps.append(step)
    yield tuple(steps), None

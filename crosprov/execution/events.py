"""What happens during a run, as values: reporters word them, the core is mute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from crosprov.errors import CrosprovError
from crosprov.planning.plan import Change, HostPlan


class Outcome(StrEnum):
    """How a run ended for one host."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    FAILED = "failed"
    UNREACHED = "unreached"
    NOT_PLANNED = "not planned"
    BLOCKED = "blocked"
    NOT_CONVERGED = "not converged"
    INTERRUPTED = "interrupted"

    @property
    def good(self) -> bool:
        """Tell whether the host is as the inventory says."""
        return self in (Outcome.UNCHANGED, Outcome.CHANGED)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on one host."""

    host: str


@dataclass(frozen=True, slots=True)
class Connecting(Event):
    """A connection is being made."""


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """The host's plan is known."""

    plan: HostPlan


@dataclass(frozen=True, slots=True)
class WaveOpened(Event):
    """The hosts that this one needs are ready, and its own changes begin."""

    wave: int


@dataclass(frozen=True, slots=True)
class ChangeStarted(Event):
    """A change is under way."""

    change: Change
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class ChangeProgress(Event):
    """A change under way says how far it is, in one line."""

    change: Change
    text: str


@dataclass(frozen=True, slots=True)
class ChangeDone(Event):
    """A change was carried out."""

    change: Change
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Rebooting(Event):
    """The host was told to reboot, and is waited for; times are in seconds."""

    change: Change
    passed: float
    within: float


@dataclass(frozen=True, slots=True)
class Rebooted(Event):
    """The host is back, `after` so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Held(Event):
    """Another run is at work on the host; it is asked again until that one has ended."""

    by: str


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """A readiness probe is asked until it answers."""

    probe: str


@dataclass(frozen=True, slots=True)
class Sending(Event):
    """A large file is on its way."""

    path: str
    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class Verified(Event):
    """The host was planned once more after its changes."""

    left: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The host's part of the run ended with an error."""

    error: CrosprovError


@dataclass(frozen=True, slots=True)
class Blocked(Event):
    """The host was left untouched because one that it needs failed."""

    by: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The host's part of the run is over."""

    outcome: Outcome


Emit = Callable[[Event], None]

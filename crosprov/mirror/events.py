"""What happens during a sync or a verification, as told to whoever shows it, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from crosprov.mirror.report import Failure


@dataclass(frozen=True, slots=True)
class Sourcing:
    """Ebuilds of a tree are sourced: how many of how many that is done with."""

    done: int
    count: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The mirror was listed: how much is to be fetched, and to be read and proven."""

    fetch: int
    fetch_bytes: int
    check: int
    check_bytes: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes were fetched, or read; fewer than none when what came was dropped."""

    count: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file is on the mirror now."""

    name: str
    size: int
    source: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A file that was on the mirror has the content that it should have."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A file cannot be had, or is not what it should be."""

    failure: Failure


Event = Sourcing | Listed | Moved | Fetched | Proven | Failed
Events = Callable[[Event], object]


def mute(event: Event) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Progress:
    """Follow events: what is done of what is to be done, the rate, the time that is left.

    Ebuilds are counted while they are sourced, which comes before everything else. The rate is a
    mean over about the last `window` seconds, so that it follows a change without jumping. Bytes
    of files that failed are never done: `lost` counts them.
    """

    window: float = 10.0
    clock: Callable[[], float] = time.monotonic
    ebuilds: int = 0
    ebuilds_done: int = 0
    files: int = 0
    files_done: int = 0
    total: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    rate: float = 0.0
    _open: int = field(default=0, repr=False)
    _at: float | None = field(default=None, repr=False)

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case Sourcing():
                self.ebuilds, self.ebuilds_done = event.count, event.done
            case Listed():
                self.ebuilds = 0
                self.files = event.fetch + event.check
                self.total = event.fetch_bytes + event.check_bytes
                self._at = self.clock()
            case Moved():
                self._move(event.count)
            case Fetched() | Proven():
                self.files_done += 1
                self._settle()
            case Failed():
                self.files_done += 1
                self.failed += 1
                self.lost += event.failure.size
                self._settle()

    @property
    def share(self) -> float:
        """Give what is done as a number from 0 to 1."""
        if self.ebuilds:
            return self.ebuilds_done / self.ebuilds
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate the time that is left; None while nothing tells."""
        return None if self.rate <= 0 else max(self.total - self.lost - self.done, 0) / self.rate

    def _move(self, count: int) -> None:
        self._open += count
        self.done += count
        now = self.clock()
        passed = now - (self._at if self._at is not None else now)
        if passed < 0.2:
            return
        weight = min(1.0, passed / self.window)
        self.rate += weight * (max(self._open, 0) / passed - self.rate)
        self._open, self._at = 0, now

    def _settle(self) -> None:
        """Bytes and files drift apart where tries fail; at the end both are whole."""
        if self.files_done >= self.files:
            self.done = self.total - self.lost

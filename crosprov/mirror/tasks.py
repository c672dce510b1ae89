"""What a sync or a verification has to do, with what, and what became of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from crosprov.mirror.fetching import Fetcher
from crosprov.mirror.ledger import Ledger
from crosprov.mirror.limits import Bandwidth, Slots
from crosprov.mirror.model import Need
from crosprov.mirror.report import Failure
from crosprov.mirror.stores import Store, Stored
from crosprov.mirror.upstreams import Origins, Upstream


@dataclass(frozen=True, slots=True)
class Task:
    """A file to fetch, or with `stored` one to read and prove."""

    need: Need
    stored: Stored | None

    @property
    def size(self) -> int:
        """Give the bytes to move."""
        return self.stored.size if self.stored else self.need.archive.size


@dataclass(slots=True)
class Tally:
    """What became of the tasks."""

    failures: list[Failure] = field(default_factory=list)
    fetched: int = 0
    fetched_bytes: int = 0
    checked: int = 0
    checked_bytes: int = 0
    untried: int = 0
    stopped: str | None = None
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the threads share; `origins` are None where the addresses of ebuilds are not asked."""

    store: Store
    ledger: Ledger
    upstreams: tuple[Upstream, ...]
    origins: Origins | None
    fetcher: Fetcher
    bandwidth: Bandwidth
    incoming: Path
    begun: frozenset[str]
    hashed: bool
    stop: threading.Event

    @classmethod
    def for_reading(
        cls, store: Store, ledger: Ledger, incoming: Path, stop: threading.Event
    ) -> Tools:
        """Give what is needed where nothing is fetched."""
        return cls(
            store=store,
            ledger=ledger,
            upstreams=(),
            origins=None,
            fetcher=Fetcher(Slots(1), (), stop),
            bandwidth=Bandwidth(0, stop),
            incoming=incoming,
            begun=frozenset(),
            hashed=False,
            stop=stop,
        )

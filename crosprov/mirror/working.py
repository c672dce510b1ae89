"""The threads of a sync: each takes a file, has it fetched or read, and notes what became of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from crosprov.mirror.arranging import Arranger
from crosprov.mirror.blocks import Blocks
from crosprov.mirror.choosing import is_provable, origins_of
from crosprov.mirror.events import Event, Events, Failed, Fetched, Moved, Proven
from crosprov.mirror.excuses import unfetched
from crosprov.mirror.fetching import Fetcher, Unfetched
from crosprov.mirror.folder import Folder, Full
from crosprov.mirror.ledger import Ledger
from crosprov.mirror.limits import Bandwidth, Slots, Stopped
from crosprov.mirror.model import Fault, Need
from crosprov.mirror.part import Part
from crosprov.mirror.proving import Prover, holds
from crosprov.mirror.report import Failure, Kind
from crosprov.mirror.stores import Exists, Store, Stored
from crosprov.mirror.upstreams import Origins, Upstream

_IN_A_ROW = 5  # files that the store could not take before the sync gives up
_LEAVE = 5.0  # seconds that threads have to end when the sync is stopped


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
            hashed=False,
            stop=stop,
        )


class Crew:
    """Threads that work through the tasks of a sync."""

    def __init__(self, tools: Tools, tally: Tally, events: Events) -> None:
        self._tools = tools
        self._tally = tally
        self._events = events
        self._lock = threading.Lock()
        self._tasks: deque[Task] = deque()
        self._prover = Prover(tools.store, tools.ledger, self._tick)
        self._arranger = _arranger(tools)
        self._blocks = Blocks()
        self._refused = 0  # files in a row that the store could not take
        self._error: BaseException | None = None

    def work(self, tasks: Iterable[Task], workers: int) -> None:
        """Do all tasks, whatever becomes of single ones; raises what no task may raise.

        Half of the threads begin with the largest files and half with the smallest, so that
        neither the line nor the disk waits for the other.
        """
        self._tasks.extend(sorted(tasks, key=lambda task: task.size, reverse=True))
        count = max(1, min(workers, len(self._tasks)))
        ends = (self._tasks.popleft, self._tasks.pop)
        threads = [
            threading.Thread(target=self._run, args=(ends[n % 2],), name=f"sync-{n}", daemon=True)
            for n in range(count)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._tools.stop.set()
            for thread in threads:
                thread.join(_LEAVE)
            raise
        if self._error is not None:
            raise self._error
        self._tally.untried += len(self._tasks)

    def arrange(self, present: Mapping[str, Stored]) -> None:
        """Give second names to the files that were there before, then write layout.conf."""
        if self._arranger is None:
            return
        bad = {failure.name for failure in self._tally.failures}
        for name, stored in present.items():
            if name in bad:
                continue
            try:
                linked = self._arranger.arrange(stored)
            except Full:
                raise
            except Fault as fault:
                self._tally.remarks.append(fault.sentence)
                continue
            proof = self._tools.ledger.find(name) if linked else None
            if linked and proof and holds(proof, stored):
                self._tools.ledger.note(proof._replace(mark=linked.mark))
        remark = self._arranger.finish()
        if remark:
            self._tally.remarks.append(remark)

    def _run(self, take: Callable[[], Task]) -> None:
        """Work until there is nothing left; an error that no task may raise ends all."""
        while not self._tools.stop.is_set():
            try:
                task = take()
            except IndexError:
                return
            try:
                self._do(task)
            except Stopped:
                with self._lock:
                    self._tally.untried += 1
            except BaseException as error:
                self._error = error
                self._tools.stop.set()

    def _do(self, task: Task) -> None:
        if task.stored is not None:
            failure = self._prover.check(task.need, task.stored)
            if failure is None:
                self._proven(task.stored)
        else:
            failure = self._fetch(task.need)
        if failure is not None:
            self._fail(failure)

    def _fetch(self, need: Need) -> Failure | None:
        """Fetch a file and publish it; give what went wrong otherwise."""
        tools, archive = self._tools, need.archive
        if not is_provable(need):
            sentence = f"none of its hashes ({' '.join(archive.hashes)}) can be computed here"
            return Failure.of(need, Kind.UNPROVABLE, sentence, "add BLAKE2B to its Manifest")
        part = Part(tools.incoming, archive, tools.bandwidth, self._moved, self._blocks)
        try:
            with part:
                source = tools.fetcher.fetch(part, self._sources(need))
            return self._publish(need, part, source)
        except Unfetched as error:
            return unfetched(need, error, len(tools.upstreams))
        except Full as fault:
            part.discard()
            self._give_up(fault)
            return Failure.of(need, Kind.STORE, fault.sentence, fault.hint)
        except Fault as fault:
            self._note_refusal(fault)
            return Failure.of(need, Kind.STORE, fault.sentence, fault.hint)

    def _sources(self, need: Need) -> Iterable[Upstream]:
        origins = self._tools.origins
        return chain(self._tools.upstreams, origins.of(origins_of(need)) if origins else ())

    def _publish(self, need: Need, part: Part, source: str) -> Failure | None:
        if self._tools.stop.is_set():
            raise Stopped
        try:
            stored = self._tools.store.create(need.archive.name, part.path, need.archive)
        except Exists as fault:
            return self._taken(need, fault)
        self._refused = 0
        if self._arranger is not None:
            stored = self._arranger.arrange(stored) or stored
        self._prover.note(stored, part.proven)
        part.discard()
        with self._lock:
            self._tally.fetched += 1
            self._tally.fetched_bytes += stored.size
            self._events(Fetched(stored.name, stored.size, source))
        return None

    def _taken(self, need: Need, fault: Exists) -> Failure | None:
        """Somebody else published under the name meanwhile: look at what."""
        if fault.stored is None:
            return Failure.of(need, Kind.IMMUTABLE, fault.sentence, fault.hint)
        failure = self._prover.check(need, fault.stored)
        if failure is None:
            self._proven(fault.stored)
        return failure

    def _note_refusal(self, fault: Fault) -> None:
        self._refused += 1
        if self._refused >= _IN_A_ROW:
            self._give_up(fault)

    def _give_up(self, fault: Fault) -> None:
        with self._lock:
            self._tally.stopped = self._tally.stopped or str(fault)
        self._tools.stop.set()

    def _proven(self, stored: Stored) -> None:
        with self._lock:
            self._tally.checked += 1
            self._tally.checked_bytes += stored.size
            self._events(Proven(stored.name, stored.size))

    def _fail(self, failure: Failure) -> None:
        with self._lock:
            self._tally.failures.append(failure)
            self._events(Failed(failure))

    def _moved(self, count: int) -> None:
        self._tell(Moved(count))

    def _tick(self, count: int) -> None:
        if self._tools.stop.is_set():
            raise Stopped
        self._tell(Moved(count))

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._events(event)


def _arranger(tools: Tools) -> Arranger | None:
    if not tools.hashed or not isinstance(tools.store, Folder):
        return None
    return Arranger(tools.store)

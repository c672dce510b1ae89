"""The threads of a sync: each takes a file, has it fetched or read, and notes what became of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from crosprov.mirror.arranging import Arranger
from crosprov.mirror.blocks import Blocks
from crosprov.mirror.choosing import is_provable, origins_of
from crosprov.mirror.events import Event, Events, Failed, Fetched, Moved, Proven
from crosprov.mirror.excuses import unfetched
from crosprov.mirror.fetching import Unfetched
from crosprov.mirror.folder import Folder, Full
from crosprov.mirror.limits import Stopped
from crosprov.mirror.model import Fault, Need
from crosprov.mirror.part import Part
from crosprov.mirror.proving import Prover, holds
from crosprov.mirror.report import Failure, Kind
from crosprov.mirror.stores import Exists, Stored
from crosprov.mirror.tasks import Tally, Task, Tools
from crosprov.mirror.upstreams import Upstream

_IN_A_ROW = 5  # files that the store could not take before the sync gives up
_LEAVE = 5.0  # seconds that threads have to end when the sync is stopped


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
        self._misplaced = 0  # files that have no second name, and should have one
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
                if thread.is_alive():  # an interruption may come before all have begun
                    thread.join(_LEAVE)
            raise
        if self._error is not None:
            raise self._error
        self._tally.untried += len(self._tasks)

    def arrange(self, files: Iterable[Task]) -> None:
        """Give second names to the files that were there before, then write layout.conf.

        That names the layout for all files, so that it has to wait while one lacks its link.
        """
        if self._arranger is None:
            return
        bad = {failure.name for failure in self._tally.failures}
        for task in files:
            if self._tools.stop.is_set():
                break
            if task.stored is None or task.need.archive.name in bad:
                continue
            failure = self._arrange(task.need, task.stored)
            if failure is not None:
                self._tally.failures.append(failure)
        if self._tools.stop.is_set():
            return
        try:
            remark = self._arranger.finish(self._misplaced)
        except Fault as fault:
            self._give_up(fault)
        else:
            self._tally.remarks += [remark] if remark else []

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
        part = Part(
            tools.incoming, archive, tools.begun, tools.bandwidth, self._moved, self._blocks
        )
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
        self._note(stored, part.proven)
        if not isinstance(self._tools.store, Folder):  # which moves it
            part.discard()
        failure = self._arrange(need, stored)
        if stored.is_new:
            self._fetched(stored, source, is_well=failure is None)
        else:  # somebody else published the same meanwhile
            self._proven(stored, is_well=failure is None)
        return failure

    def _taken(self, need: Need, fault: Exists) -> Failure | None:
        """Somebody else published another content under the name meanwhile: look at it."""
        if fault.stored is None:
            return Failure.of(need, Kind.IMMUTABLE, fault.sentence, fault.hint)
        failure = self._prover.check(need, fault.stored)
        if failure is None:
            failure = self._arrange(need, fault.stored)
            self._proven(fault.stored, is_well=failure is None)
        return failure

    def _arrange(self, need: Need, stored: Stored) -> Failure | None:
        """Give a file its second name where that is wanted; give what went wrong otherwise."""
        if self._arranger is None:
            return None
        try:
            linked = self._arranger.arrange(stored)
        except Fault as fault:
            with self._lock:
                self._misplaced += 1
            if isinstance(fault, Full):
                self._give_up(fault)
            return Failure.of(need, Kind.STORE, fault.sentence, fault.hint)
        proof = self._tools.ledger.find(stored.name) if linked else None
        if linked and proof and holds(proof, stored):
            self._tools.ledger.note(proof._replace(mark=linked.mark))
        return None

    def _note(self, stored: Stored, hashes: Mapping[str, str]) -> None:
        """Write a proof down; where that fails, the file is published all the same."""
        try:
            self._prover.note(stored, hashes)
        except Fault as fault:
            with self._lock:
                if str(fault) not in self._tally.remarks:
                    self._tally.remarks.append(str(fault))

    def _note_refusal(self, fault: Fault) -> None:
        self._refused += 1
        if self._refused >= _IN_A_ROW:
            self._give_up(fault)

    def _give_up(self, fault: Fault) -> None:
        with self._lock:
            self._tally.stopped = self._tally.stopped or str(fault)
        self._tools.stop.set()

    def _fetched(self, stored: Stored, source: str, *, is_well: bool) -> None:
        with self._lock:
            self._tally.fetched += 1
            self._tally.fetched_bytes += stored.size
            if is_well:
                self._events(Fetched(stored.name, stored.size, source))

    def _proven(self, stored: Stored, *, is_well: bool = True) -> None:
        with self._lock:
            self._tally.checked += 1
            self._tally.checked_bytes += stored.size
            if is_well:
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

"""Staging: bringing what is asked for of a build into its folder, once for all who ask."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from crosprov.devserver.artifacts import ARTIFACTS, RELATED, chosen
from crosprov.devserver.attempts import Attempts
from crosprov.devserver.cache import Build, Cache
from crosprov.devserver.crew import Crew
from crosprov.devserver.downloads import Patience, stopping
from crosprov.devserver.failures import Refused
from crosprov.devserver.fetching import Fetcher
from crosprov.devserver.installing import undo_all
from crosprov.devserver.jobs import Item, Job
from crosprov.devserver.layout import CONTROL, LONGEST_NAME, USED, Layout
from crosprov.devserver.markers import Markers, file_key, mark_name
from crosprov.devserver.search import Search
from crosprov.devserver.session import Session
from crosprov.devserver.space import Space
from crosprov.devserver.stores import Folder, Store
from crosprov.devserver.workspace import Workspace

MOST_JOBS = 1000  # that wait or run at once
ENDS_WITHIN = 5.0  # seconds for the threads to notice that the server stops

log = logging.getLogger("crosprov.devserver.staging")


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a build: artifacts by name, and plain files of its source."""

    source: str
    artifacts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """How far a request is, in bytes; `total` grows while files are being found.

    `file` is what is downloaded right now, `failure` the sentence of the last failure when
    nothing is under way. `staged` and `missing` name artifacts and files.
    """

    done: int
    total: int
    file: str | None
    failure: str | None
    staged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Stager:
    """Stage builds below a static folder, with at most `workers` downloads at once.

    All methods may be called from any thread, and raise Refused. `capacity` is the number of
    staged builds that are kept, 0 for any number. Whatever is half done when the process ends
    is swept by the next Stager of the folder.
    """

    def __init__(
        self,
        layout: Layout,
        stores: Callable[[str], Store],
        *,
        capacity: int = 0,
        workers: int = 4,
        patience: Patience | None = None,
    ) -> None:
        self._layout = layout
        self._patience = patience or Patience()
        self._stop = threading.Event()
        self._session = Session(layout, partial(undo_all, layout))
        self._space = Space(layout.static_dir)
        self._markers = Markers(layout)
        self._attempts = Attempts(layout, self._session)
        self._cache = Cache(layout, self._session, capacity)
        self._fetcher = Fetcher(
            layout, stores, self._session, self._space, self._cache, self._patience, self._stop
        )
        self._front = Crew("stage", workers)
        self._behind = Crew("stage-behind", max(workers // 2, 1))
        self._lock = threading.Lock()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._workspaces: dict[str, Workspace] = {}

    def stage(self, request: Request, *, clean: bool = False, delete_source: bool = False) -> None:
        """Stage what is named, and come back when all of it is there.

        `clean` removes first what is staged of the build. `delete_source` removes the files
        that were staged from a local folder, and the folder when it is empty then.
        """
        items = self._items(request)
        self._prepare(items[0], clean, delete_source)
        with self._cache.in_use(items[0].build):
            jobs = self._begin(items, self._patience.foreground)
            for job in jobs:
                job.finished.wait()
            for job in jobs:
                job.wait()
        if delete_source:
            self._delete(items)

    def start(self, request: Request, *, clean: bool = False, delete_source: bool = False) -> None:
        """Begin to stage what is named, and come back at once; is_staged tells the end."""
        items = self._items(request)
        self._prepare(items[0], clean, delete_source)
        with self._cache.in_use(items[0].build):
            jobs = self._begin(items, self._patience.background)
        if delete_source:
            self._behind.give(lambda: self._delete_after(jobs, items))

    def is_staged(self, request: Request) -> bool:
        """Tell whether all that is named is there.

        Raises Refused(500) with the sentence of the last failure, when there was one and
        nothing of the request is under way.
        """
        missing = [item for item in self._items(request) if not self._is_whole(item)]
        if not missing:
            return True
        failure = self._failure(missing)
        if failure is not None:
            raise Refused(500, failure)
        return False

    def state(self, request: Request) -> State:
        """Tell how far a request is."""
        items = self._items(request)
        whole = [item for item in items if self._is_whole(item)]
        missing = [item for item in items if item not in whole]
        size = sum(self._size(item) for item in whole)
        with self._lock:
            jobs = [job for item in missing if (job := self._jobs.get((item.build, item.key)))]
        downloads = list(dict.fromkeys(load for job in jobs for load in job.downloads))
        current = [load.name for load in downloads if load.total is None or load.done < load.total]
        return State(
            done=size + sum(load.done for load in downloads),
            total=size + sum(load.total or load.done for load in downloads),
            file=current[0] if current else None,
            failure=self._failure(missing),
            staged=tuple(item.name for item in whole),
            missing=tuple(item.name for item in missing),
        )

    @property
    def capacity(self) -> int:
        """Give the number of staged builds that are kept, 0 for any number."""
        return self._cache.capacity

    def in_use(self, build: str) -> AbstractContextManager[None]:
        """Keep a build from being removed while it is served, and note its use."""
        return self._cache.in_use(build)

    def builds(self) -> tuple[Build, ...]:
        """List the builds that are there, the last used ones first."""
        return self._cache.builds()

    def close(self) -> None:
        """Stop what is under way; whoever waits gets Refused(503)."""
        self._stop.set()
        with self._lock:
            waiting = list(self._jobs.values())
        for job in waiting:
            if job.claim():  # it did not begin, and will not
                job.failure = stopping()
                self._finish(job)
        for crew in (self._front, self._behind):
            crew.close(ENDS_WITHIN)
        self._session.close()

    # --- what a request names ---------------------------------------------------------------

    def _items(self, request: Request) -> list[Item]:
        build, source = self._layout.build(request.source), self._layout.source(request.source)
        if not request.artifacts and not request.files:
            raise Refused(400, "no artifacts specified: name artifacts= or files=")
        items = [Item(build, source, each.name, each) for each in chosen(request.artifacts)]
        for name in dict.fromkeys(request.files):
            _check_file(name)
            items.append(Item(build, source, name))
        return items

    def _is_whole(self, item: Item) -> bool:
        return self._markers.is_whole(item.build, item.key)

    def _size(self, item: Item) -> int:
        return sum(file.size for file in self._markers.read(item.build, item.key) or ())

    def _failure(self, items: Iterable[Item]) -> str | None:
        """Give the last failure among items, None while any of them is under way."""
        items = list(items)
        with self._lock:
            if any((item.build, item.key) in self._jobs for item in items):
                return None
        failures = (self._attempts.last(item.build, item.key) for item in items)
        return next((failure for failure in failures if failure), None)

    # --- jobs -------------------------------------------------------------------------------

    def _prepare(self, item: Item, clean: bool, delete_source: bool) -> None:
        if delete_source and not item.source.startswith("/"):
            raise Refused(400, "delete_source goes with local_path only")
        if not clean:
            return
        with self._lock:
            if item.build in self._workspaces:
                raise Refused(409, f"{item.build} is being staged; clean it when that is done")
            trash = self._cache.take(item.build)
        shutil.rmtree(trash, ignore_errors=True)

    def _begin(self, items: Iterable[Item], within: float) -> list[Job]:
        jobs = []
        for item in items:
            if self._is_whole(item):
                self._begin_related(item)
            else:
                jobs.append(self._job(item, within))
        return jobs

    def _begin_related(self, item: Item) -> None:
        """Fetch in the background what usually is asked for next."""
        if item.artifact is None or self._stop.is_set():
            return
        for name in RELATED.get(item.name, ()):
            related = Item(item.build, item.source, name, ARTIFACTS[name])
            if not self._is_whole(related):
                self._job(related, self._patience.background, is_background=True)

    def _job(self, item: Item, within: float, *, is_background: bool = False) -> Job:
        """Join the job of an item, or begin one."""
        with self._lock:
            if self._stop.is_set():
                raise stopping()
            job = self._jobs.get((item.build, item.key))
            if job is None:
                if len(self._jobs) >= MOST_JOBS:
                    raise Refused(503, f"{MOST_JOBS} things are being staged; ask again later")
                job = Job(item, within=within, is_background=is_background)
                self._jobs[item.build, item.key] = job
                self._workspace(item.build).users += 1
            elif not job.is_background or is_background:
                return job
            job.is_background = is_background
        crew = self._behind if is_background else self._front
        crew.give(lambda: self._carry_out(job))
        return job

    def _workspace(self, build: str) -> Workspace:
        if build not in self._workspaces:
            self._workspaces[build] = Workspace(
                self._session, self._space, self._patience, self._stop
            )
        return self._workspaces[build]

    def _workspace_of(self, build: str) -> Workspace:
        with self._lock:
            return self._workspaces[build]

    def _carry_out(self, job: Job) -> None:
        """Stage an item, in a thread of a crew; every end of it is noted."""
        if not job.claim():
            return
        item = job.item
        try:
            with self._cache.in_use(item.build):
                if not self._is_whole(item):
                    self._attempts.clear(item.build, item.key)
                    self._fetcher.fetch(job, self._workspace_of(item.build))
        except Refused as refused:
            job.failure = refused
        except OSError as error:
            job.failure = Refused(500, f"{item.name} of {item.build} cannot be stored: {error}")
        except Exception:
            log.exception("staging %s of %s failed", item.name, item.build)
            job.failure = Refused(
                500, f"staging {item.name} of {item.build} failed; the dev server's log says why"
            )
        finally:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        item, left = job.item, None
        if job.failure is None:
            self._begin_quietly(item)
        with self._lock:
            del self._jobs[item.build, item.key]
            workspace = self._workspaces[item.build]
            workspace.users -= 1
            if not workspace.users:
                left = self._workspaces.pop(item.build)
            is_asked_for = not job.is_background
        if job.failure is not None:
            log.warning("%s of %s: %s", item.name, item.build, job.failure.sentence)
            if is_asked_for and job.failure.status != 503:
                self._attempts.record(item.build, item.key, job.failure)
        if left is not None:
            left.close()
            self._cache.trim()
        job.finished.set()

    def _begin_quietly(self, item: Item) -> None:
        try:
            self._begin_related(item)
        except Refused as refused:
            log.info("nothing related to %s is staged: %s", item.name, refused.sentence)

    # --- local folders that are not wanted any more -------------------------------------------

    def _delete_after(self, jobs: list[Job], items: list[Item]) -> None:
        try:
            for job in jobs:
                job.wait()
            self._delete(items)
        except Refused as refused:
            log.warning("%s is not deleted: %s", items[0].source, refused.sentence)

    def _delete(self, items: list[Item]) -> None:
        """Remove the files that were staged from a local folder."""
        folder = Folder(items[0].source)
        search = Search(folder, items[0].build, (), self._stop)
        for item in items:
            for entry in search.item(item, 0):
                folder.remove(entry)
        folder.remove_if_empty()


def _check_file(name: str) -> None:
    """Raise Refused(400) for what is not the name of a file directly in a build."""
    try:
        size = len(mark_name(file_key(name)).encode())
    except UnicodeEncodeError:
        size = LONGEST_NAME + 1
    if not name or "/" in name or name.startswith(".") or CONTROL.search(name) or name == USED:
        raise Refused(400, f"{name[:100]!r} is not the name of a file of a build")
    if size > LONGEST_NAME:
        raise Refused(400, "the name of a file of a build is too long")

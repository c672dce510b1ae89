"""Fetching one item of a build: find it, download it, take it apart, install it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from crosprov.devserver.cache import Cache
from crosprov.devserver.downloads import Patience, stopping
from crosprov.devserver.extraction import extract
from crosprov.devserver.installing import Installer
from crosprov.devserver.jobs import Job
from crosprov.devserver.layout import Layout
from crosprov.devserver.search import Search
from crosprov.devserver.session import Session
from crosprov.devserver.space import Space
from crosprov.devserver.stores import Entry, Store
from crosprov.devserver.workspace import Workspace


class Fetcher:
    """Carry out jobs; the caller says when, and in which thread."""

    def __init__(
        self,
        layout: Layout,
        stores: Callable[[str], Store],
        session: Session,
        space: Space,
        cache: Cache,
        patience: Patience,
        stop: threading.Event,
    ) -> None:
        self._stores = stores
        self._session = session
        self._space = space
        self._cache = cache
        self._patience = patience
        self._stop = stop
        self._installer = Installer(layout, session)

    def fetch(self, job: Job, workspace: Workspace) -> None:
        """Bring an item of a build into its folder; raises Refused or OSError.

        Nothing is in the folder before all of the item is there and checked.
        """
        item = job.item
        store = self._stores(item.source)
        search = Search(store, item.build, self._patience.pauses, self._stop)
        entries = search.item(item, job.within)
        with ExitStack() as scratch:
            files: dict[str, Path] = {}
            for entry in entries:
                path = workspace.fetch(store, entry, job.watch)
                files |= self._files(job, store, entry, path, scratch)
            self._cache.open(item.build, item.source)
            what = f"{item.name} of {item.build}"
            with self._space.held(0, what):
                self._installer.install(item.build, item.key, files)
        self._cache.touch(item.build)

    def _files(
        self, job: Job, store: Store, entry: Entry, path: Path, scratch: ExitStack
    ) -> dict[str, Path]:
        """Give what is to be installed of a downloaded file: its path in the build, and where."""
        artifact = job.item.artifact
        if artifact is None or not artifact.is_archive:
            name = entry.name if artifact is None else artifact.stored or entry.name
            return {name: self._installer.second_name(path)}
        into = self._session.scratch()
        scratch.callback(partial(shutil.rmtree, into, ignore_errors=True))
        with self._space.held(0, f"{store.source}/{entry.name}") as held:
            return {name: into / name for name in extract(path, artifact, into, held, self._tick)}

    def _tick(self) -> None:
        if self._stop.is_set():
            raise stopping()

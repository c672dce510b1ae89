"""The files that are downloaded for a build, each once, while anything of it is staged."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from crosprov.devserver.downloads import Download, Patience
from crosprov.devserver.failures import Refused
from crosprov.devserver.session import Session
from crosprov.devserver.space import Space
from crosprov.devserver.stores import Entry, Store


class Flight:
    """A download that several may wait for."""

    def __init__(self, download: Download) -> None:
        self.download = download
        self.landed = threading.Event()
        self.failure: Refused | None = None


class Workspace:
    """Hold downloaded files until the last of those who stage a build is through.

    Two artifacts may come from one archive; it is downloaded once for both.
    """

    def __init__(
        self, session: Session, space: Space, patience: Patience, stop: threading.Event
    ) -> None:
        self.users = 0
        self._folder = session.scratch()
        self._folder.mkdir()
        self._space = space
        self._patience = patience
        self._stop = stop
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._flights: dict[tuple[str, Entry], Flight] = {}

    def fetch(self, store: Store, entry: Entry, watch: Callable[[Download], None]) -> Path:
        """Give a file of a store, downloaded by whoever asks first; raises Refused.

        `watch` gets the download before it begins, to look at its progress.
        """
        with self._lock:
            flight = self._flights.get((store.source, entry))
            is_first = flight is None or flight.failure is not None
            if flight is None or is_first:
                path = self._folder / str(next(self._numbers))
                flight = Flight(Download(store, entry, path))
                self._flights[store.source, entry] = flight
        watch(flight.download)
        if is_first:
            self._carry_out(flight)
        flight.landed.wait()
        if flight.failure is not None:
            raise Refused(flight.failure.status, flight.failure.sentence)
        return flight.download.path

    def close(self) -> None:
        """Remove all files; those that were installed have another name by now."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _carry_out(self, flight: Flight) -> None:
        try:
            flight.download.carry_out(self._space, self._patience, self._stop)
        except Refused as refused:
            flight.failure = refused
        except BaseException:
            flight.failure = Refused(500, f"{flight.download.name} could not be downloaded")
            raise
        finally:
            flight.landed.set()

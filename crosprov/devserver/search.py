"""Finding the files of an artifact at a source, and waiting for those that are on their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from difflib import get_close_matches
from typing import TypeVar

from crosprov.devserver.artifacts import Artifact, Pattern
from crosprov.devserver.downloads import stopping
from crosprov.devserver.failures import Refused
from crosprov.devserver.jobs import Item
from crosprov.devserver.stores import Entry, Interrupted, Store

ASKED_EVERY = 1.0  # seconds between two looks at the source
SHOWN = 5  # names of what is there instead

Found = TypeVar("Found")


class Search:
    """Look for what is wanted of a build at its source.

    `pauses` are the seconds before each further attempt when the source fails.
    """

    def __init__(
        self, store: Store, build: str, pauses: tuple[float, ...], stop: threading.Event
    ) -> None:
        self._store = store
        self._build = build
        self._pauses = pauses
        self._stop = stop

    def item(self, item: Item, within: float) -> tuple[Entry, ...]:
        """Find the files of an item; raises Refused as `artifact` and `file` do."""
        if item.artifact is None:
            return (self.file(item.name, within),)
        return self.artifact(item.artifact, within)

    def artifact(self, artifact: Artifact, within: float) -> tuple[Entry, ...]:
        """Find the files of an artifact, waiting for it `within` seconds.

        Raises Refused: 404 when there is none, 409 when there are several and one is meant.
        """
        entries = self._await(lambda: self._matching(artifact), within)
        if not entries:
            wanted = " or ".join(pattern.text for pattern in artifact.sources)
            wanted = wanted.replace("{build}", self._build.rpartition("/")[2])
            raise self._missing(f"{artifact.name} ({wanted})", artifact.sources[0].text)
        if len(entries) > 1 and not artifact.several:
            names = ", ".join(entry.name for entry in entries[:SHOWN])
            raise Refused(
                409, f"{self._store.source} holds several files for {artifact.name}: {names}"
            )
        return entries

    def file(self, name: str, within: float) -> Entry:
        """Find one file, waiting for it `within` seconds; raises Refused(404)."""
        entry = self._await(lambda: self._store.find(name), within)
        if entry is None:
            raise self._missing(name, name)
        return entry

    def _matching(self, artifact: Artifact) -> tuple[Entry, ...]:
        for pattern in artifact.sources:
            found = self._of_pattern(pattern)
            if found:
                return found
        return ()

    def _of_pattern(self, pattern: Pattern) -> tuple[Entry, ...]:
        if pattern.plain is not None:
            entry = self._store.find(pattern.plain)
            return () if entry is None else (entry,)
        listed = self._store.list()
        return tuple(entry for entry in listed if pattern.fits(entry.name, self._build))

    def _await(self, look: Callable[[], Found], within: float) -> Found:
        deadline = time.monotonic() + within
        while True:
            found = self._tried(look)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            self._rest(min(ASKED_EVERY, left))

    def _tried(self, look: Callable[[], Found]) -> Found:
        for pause in (*self._pauses, None):
            try:
                return look()
            except Interrupted as failure:
                if pause is None:
                    attempts = f"gave up after {len(self._pauses) + 1} attempts"
                    raise Refused(failure.status, f"{failure.sentence}; {attempts}") from None
                self._rest(pause)
        raise stopping()

    def _rest(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise stopping()

    def _missing(self, what: str, like: str) -> Refused:
        """Word that something is not there, and what is there instead."""
        sentence = f"{self._store.source} holds no {what}"
        try:
            names = [entry.name for entry in self._store.list()]
        except (Refused, Interrupted):
            return Refused(404, sentence)
        if not names:
            return Refused(404, f"{sentence}: nothing at all is there")
        near = get_close_matches(like, names, n=SHOWN, cutoff=0.3) or sorted(names)[:SHOWN]
        return Refused(404, f"{sentence}; nearest there: {', '.join(near)}")

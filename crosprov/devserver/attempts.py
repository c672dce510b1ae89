"""What went wrong with the last attempt to stage something, kept over restarts."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout
from crosprov.devserver.session import Session

MOST = 1000  # records; clients can ask for any number of builds that do not exist


class Attempts:
    """Keep a sentence for each thing whose last attempt failed.

    A genuine dev server keeps pickled exceptions beside the build; these are JSON, and they
    end when the thing is staged or attempted again.
    """

    def __init__(self, layout: Layout, session: Session) -> None:
        self._folder = layout.failures
        self._session = session

    def record(self, build: str, key: str, failure: Refused) -> None:
        """Remember a failure; where it cannot be written, it is forgotten."""
        record = {"build": build, "key": key, "sentence": failure.sentence}
        try:
            self._folder.mkdir(exist_ok=True)
            scratch = self._session.scratch()
            scratch.write_text(json.dumps(record))
            os.replace(scratch, self._path(build, key))
            self._limit()
        except OSError:
            return

    def clear(self, build: str, key: str) -> None:
        """Forget the failure of something."""
        self._path(build, key).unlink(missing_ok=True)

    def last(self, build: str, key: str) -> str | None:
        """Give the sentence of the last failure, None without one."""
        try:
            record = json.loads(self._path(build, key).read_text())
            return str(record["sentence"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _path(self, build: str, key: str) -> Path:
        digest = hashlib.sha256(f"{build}\n{key}".encode("utf-8", "surrogateescape"))
        return self._folder / f"{digest.hexdigest()[:32]}.json"

    def _limit(self) -> None:
        paths = list(self._folder.iterdir())
        if len(paths) > MOST:
            paths.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in paths[: len(paths) - MOST]:
                path.unlink(missing_ok=True)

"""The builds below the static folder: which there are, who uses them, which have to go."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosprov.devserver.artifacts import ARTIFACTS
from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import PINNED, RECORD, RESERVED, USED, Layout
from crosprov.devserver.markers import Markers
from crosprov.devserver.session import Session

VERSION = re.compile(r"(R[0-9]+-)?[0-9]+(\.[0-9]+)+.*")
NOTED_EVERY = 10.0  # seconds between two notes of a use, so that serving small files stays cheap


@dataclass(frozen=True, slots=True)
class Build:
    """A build: its name, when it was last used (seconds of the epoch), and its bytes.

    `is_staged` is false for one that was placed by hand: it is served, and never removed.
    """

    name: str
    last_used: float
    bytes: int
    is_staged: bool


class Cache:
    """Keep at most `capacity` staged builds, the last used ones; 0 means no limit."""

    def __init__(self, layout: Layout, session: Session, capacity: int) -> None:
        self._layout = layout
        self._session = session
        self.capacity = capacity
        self._markers = Markers(layout)
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()
        self._noted: dict[str, float] = {}
        self._crowded = False

    @contextmanager
    def in_use(self, build: str) -> Iterator[None]:
        """Keep a build from being removed, and note that it is used."""
        with self._lock:
            self._users[build] += 1
        self._note(build)
        try:
            yield
        finally:
            with self._lock:
                self._users[build] -= 1
                if not self._users[build]:
                    del self._users[build]
                crowded = self._crowded
            if crowded:
                self.trim()

    def open(self, build: str, source: str) -> Path:
        """Give the folder of a build that is about to be staged; it is made when missing.

        Its record says whether all of it is the dev server's to remove: not when a folder with
        something in it was there before. Raises Refused(409) inside another build.
        """
        folder = self._layout.folder(build)
        with self._lock:
            self._check_place(build)
            _make(folder)
            record = folder / RECORD
            if not record.exists():
                is_ours = not any(folder.iterdir())
                scratch = self._session.scratch()
                scratch.write_text(json.dumps({"source": source, "removable": is_ours}))
                os.replace(scratch, record)
        self.touch(build)
        return folder

    def touch(self, build: str) -> None:
        """Note that a build was used right now."""
        self._noted.pop(build, None)
        self._note(build)

    def builds(self) -> tuple[Build, ...]:
        """List the builds, staged ones and those placed by hand, the last used ones first.

        One of which nothing was staged in the end is none.
        """
        return tuple(build for build, is_empty in self._found() if not is_empty)

    def take(self, build: str) -> Path:
        """Move what is staged of a build out of sight, to where this gives; the rest stays."""
        with self._lock:
            return self._take(build)

    def trim(self) -> None:
        """Remove the builds that were not used for longest, until there are few enough."""
        if not self.capacity:
            return
        trash, is_crowded = [], False
        with self._lock:
            staged = [build for build, _ in self._found() if self._is_removable(build.name)]
            # A build that is in use waits for its turn; a newer one does not go in its place.
            for build in staged[self.capacity :]:
                if self._is_pinned(build.name):
                    continue
                if self._users[build.name]:
                    is_crowded = True
                else:
                    trash.append(self._take(build.name))
            self._crowded = is_crowded
        for folder in trash:
            shutil.rmtree(folder, ignore_errors=True)

    def _take(self, build: str) -> Path:
        """Move what is staged of a build out of sight, marks before files; call with the lock."""
        folder, trash = self._layout.folder(build), self._session.scratch()
        self._noted.pop(build, None)
        if self._is_removable(build):
            os.rename(folder, trash)
            return trash
        trash.mkdir()
        for mark, installed in self._markers.all(build).items():
            mark.unlink(missing_ok=True)
            for number, file in enumerate(installed):
                if os.path.lexists(folder / file.path):
                    os.replace(folder / file.path, trash / f"{mark.name}-{number}")
        return trash

    def _note(self, build: str) -> None:
        """Touch the file whose time is that of the last use."""
        now = time.monotonic()
        if now - self._noted.get(build, -NOTED_EVERY) < NOTED_EVERY:
            return
        try:
            folder = self._layout.folder(build)
            if (folder / RECORD).exists():
                (folder / USED).touch()
                self._noted[build] = now
        except (OSError, Refused):
            return

    def _check_place(self, build: str) -> None:
        for above in self._layout.folder(build).parents:
            if above == self._layout.static_dir:
                return
            if (above / RECORD).exists():
                outer = above.relative_to(self._layout.static_dir)
                raise Refused(409, f"{build} lies inside {outer}, which is a build itself")

    def _names(self, folder: Path, depth: int = 0) -> Iterator[str]:
        """Find builds by their records, and by hand placed ones by name and content."""
        try:
            with os.scandir(folder) as entries:
                below = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        except OSError:
            return
        for name in below:
            path = folder / name
            if name.startswith(".") or (depth == 0 and name in RESERVED):
                continue
            if (path / RECORD).exists() or (depth and _looks_like_build(path)):
                yield path.relative_to(self._layout.static_dir).as_posix()
            else:
                yield from self._names(path, depth + 1)

    def _found(self) -> list[tuple[Build, bool]]:
        """Describe the folders of builds, the last used ones first; true where nothing is."""
        found = []
        for name in self._names(self._layout.static_dir):
            try:
                found.append(self._build(name))
            except OSError:
                continue  # removed meanwhile
        return sorted(found, key=lambda pair: (-pair[0].last_used, pair[0].name))

    def _build(self, name: str) -> tuple[Build, bool]:
        folder = self._layout.folder(name)
        marks = self._markers.all(name)
        sizes = {file.path: file.size for mark in marks.values() for file in mark}
        is_empty = not marks and (self._is_removable(name) or not _looks_like_build(folder))
        if not marks:
            sizes = {path.name: path.lstat().st_size for path in folder.iterdir()}
        build = Build(name, _time(folder), sum(sizes.values()), is_staged=bool(marks))
        return build, is_empty

    def _is_removable(self, build: str) -> bool:
        try:
            record = json.loads((self._layout.folder(build) / RECORD).read_text())
            return record["removable"] is True
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def _is_pinned(self, build: str) -> bool:
        return (self._layout.folder(build) / PINNED).exists()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Refused(409, f"{folder} cannot be made: a file is in its way") from None


def _looks_like_build(folder: Path) -> bool:
    """Tell a build that was placed by hand from any other folder of static content.

    Its name is a version, and it holds a file that an artifact is stored as.
    """
    if not VERSION.fullmatch(folder.name):
        return False
    try:
        names = [path.name for path in folder.iterdir() if path.is_file()]
    except OSError:
        return False
    return any(_is_known(name, folder.name) for name in names)


def _is_known(name: str, version: str) -> bool:
    if name == "update.gz":  # a full payload of the genuine dev server before 2020
        return True
    for artifact in ARTIFACTS.values():
        if artifact.member or artifact.stored:
            if name == (artifact.member or artifact.stored):
                return True
        elif not artifact.unpack and any(p.fits(name, version) for p in artifact.sources):
            return True
    return False


def _time(folder: Path) -> float:
    for path in (folder / USED, folder / RECORD, folder):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0

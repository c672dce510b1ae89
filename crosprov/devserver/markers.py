"""Marks of what is staged: a small file for each artifact in the folder of its build."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crosprov.devserver.layout import RECORD, Layout


@dataclass(frozen=True, slots=True)
class Installed:
    """A file of a build: its path below the build's folder, and its bytes."""

    path: str
    size: int


def file_key(name: str) -> str:
    """Give the key of a plain file; no artifact's name has a slash."""
    return f"file/{name}"


def mark_name(key: str) -> str:
    """Spell the name of a mark."""
    return "." + key.replace("*", "STAR").replace(".", "DOT").replace("/", "SLASH")


class Markers:
    """Read and write the marks of builds.

    The mark of an artifact is written when all of its files are in their places, so what has
    no mark was never finished. It lists the files: when one was removed or cut since, the
    artifact is not staged any more.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def path(self, build: str, key: str) -> Path:
        """Give the mark's file: a dot and the key, in the spelling of genuine dev servers."""
        return self._layout.folder(build) / mark_name(key)

    def read(self, build: str, key: str) -> tuple[Installed, ...] | None:
        """List what was installed; None when there is no mark, or none that can be read."""
        return read(self.path(build, key))

    def is_whole(self, build: str, key: str) -> bool:
        """Tell whether there is a mark, and each of its files is there with its size."""
        installed = self.read(build, key)
        if not installed:
            return False
        folder = self._layout.folder(build)
        return all(_size(folder / file.path) == file.size for file in installed)

    def write(self, build: str, key: str, paths: Iterable[str], scratch: Path) -> None:
        """Mark an artifact as staged with these files, at once or not at all."""
        folder = self._layout.folder(build)
        listed = [[path, _size(folder / path)] for path in sorted(set(paths))]
        scratch.write_text(json.dumps(listed))
        os.replace(scratch, self.path(build, key))

    def all(self, build: str) -> dict[Path, tuple[Installed, ...]]:
        """Give all marks of a build with what they list."""
        found = {}
        for path in self._layout.folder(build).glob(".*"):
            if path.name != RECORD and (installed := read(path)) is not None:
                found[path] = installed
        return found


def read(path: Path) -> tuple[Installed, ...] | None:
    """Read a mark; None when it is not there or is something else."""
    try:
        listed = json.loads(path.read_text())
        return tuple(Installed(str(name), int(size)) for name, size in listed)
    except (OSError, ValueError, TypeError):
        return None


def _size(path: Path) -> int | None:
    """Give the size of a file or link, None where neither is."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return None if stat.S_ISDIR(status.st_mode) else status.st_size

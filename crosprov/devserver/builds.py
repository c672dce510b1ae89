"""What can be said about builds by looking at their folders."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout

VERSION = re.compile(r"(R[0-9]+-)?[0-9]+(\.[0-9]+)*(-[A-Za-z0-9.]+)*")
MOST_FILES = 200_000  # of a listing


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a build: its path in the build's folder, bytes, and times in seconds."""

    name: str
    size: int
    accessed: float
    modified: float


def version_key(name: str) -> list[tuple[int, int, str]]:
    """Order versions as people do: numbers by value, and before any word."""
    parts = re.findall(r"[0-9]+|[A-Za-z]+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def versions(layout: Layout, target: str) -> list[str]:
    """List the versions of a target such as eve-release, the oldest first."""
    folder = folder_of(layout, target)
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    return sorted((name for name in names if VERSION.fullmatch(name)), key=version_key)


def latest(layout: Layout, target: str, milestone: str = "") -> str:
    """Name the newest version of a target; raises Refused 404 when there is none."""
    if not folder_of(layout, target).is_dir():
        raise Refused(404, f"there is no target {target} on this dev server")
    found = versions(layout, target)
    if milestone:
        prefix = f"R{milestone.removeprefix('R')}-"
        found = [name for name in found if name.startswith(prefix)]
    if not found:
        which = f" of milestone {milestone}" if milestone else ""
        raise Refused(404, f"target {target} has no build{which} on this dev server")
    return found[-1]


def folder_of(layout: Layout, build: str) -> Path:
    """Give the real folder of a build; raises Refused when its path leads elsewhere."""
    layout.folder(build)
    return layout.inside(build)


def listing(layout: Layout, build: str) -> list[Listed] | None:
    """List the files of a build without the dev server's own, None when it is not there."""
    folder = folder_of(layout, build)
    if not folder.is_dir():
        return None
    found: list[Listed] = []
    for path in _files(folder):
        described = _described(path, folder)
        if described is not None:
            found.append(described)
        if len(found) > MOST_FILES:
            raise Refused(500, f"{build} has more than {MOST_FILES} files")
    return sorted(found, key=lambda file: file.name)


def listing_as_text(source: str, folder: Path, files: list[Listed] | None) -> str:
    """Write a listing as clients of the ChromiumOS dev server read it."""
    if files is None:
        return f"{source} has not been staged on this devserver."
    lines = [
        f"Name: {_printable(file.name)} Accessed: {_time(file.accessed)} "
        f"Modified: {_time(file.modified)} Size: {file.size} bytes."
        for file in files
    ]
    return "\n".join([f"Listing contents of :{folder}", *lines])


def _files(folder: Path) -> Iterator[Path]:
    for above, _, names in os.walk(folder):
        for name in names:
            # What begins with a dot at the top are markers of what is staged.
            if not (name.startswith(".") and Path(above) == folder):
                yield Path(above, name)


def _described(path: Path, folder: Path) -> Listed | None:
    """Describe a regular file of a build, None for what is none or has just gone."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    name = str(path.relative_to(folder))
    return Listed(name, status.st_size, status.st_atime, status.st_mtime)


def _printable(name: str) -> str:
    return name if name.isprintable() else name.encode("unicode_escape", "replace").decode()


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

"""A file or folder of the controller, as it will stand on a host."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crosprov.errors import PlanError
from crosprov.localfiles import measured


class Sort(StrEnum):
    """What an entry is, by the letter that `find -printf %y` has for it."""

    FILE = "f"
    FOLDER = "d"
    LINK = "l"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree; `path` is relative to the tree, "" for the tree itself."""

    path: str
    sort: Sort
    mode: str  # three octal digits, as find writes them
    source: str = ""  # of a file
    size: int = 0
    sha256: str = ""  # of a file
    target: str = ""  # of a link

    def records(self, owner: str) -> tuple[bytes, ...]:
        """Word the entry as `TreeFact` does; links are of mode 777 to Linux."""
        told = [f"{self.sort} {self.mode} {owner} {self.path}"]
        if self.sort is Sort.FILE:
            told.append(f"{self.sha256}  {self.path}")
        if self.sort is Sort.LINK:
            told.append(f"> {self.path}\t{self.target}")
        return tuple(record.encode() for record in told)


def scan(root: Path) -> tuple[Entry, ...]:
    """List a file, or a folder with all that is in it, parents first.

    Files become 0644, or 0755 where their owner may execute them; folders 0755. Raises
    PlanError for what cannot be served: names that are not text, devices, links that lead out
    of the folder or nowhere, and what cannot be read.
    """
    try:
        if not root.is_dir():
            return (_file("", root),)
        return tuple(_below(root, root, ""))
    except OSError as error:
        name = error.filename or root
        raise PlanError(f"{name} cannot be read: {error.strerror}") from None


def _below(root: Path, folder: Path, path: str) -> Iterator[Entry]:
    yield Entry(path, Sort.FOLDER, "755")
    for name in sorted(os.listdir(folder)):
        place, inner = folder / name, f"{path}/{name}".lstrip("/")
        _check_name(place, name)
        if place.is_symlink():
            yield _link(root, place, inner)
        elif place.is_dir():
            yield from _below(root, place, inner)
        else:
            yield _file(inner, place)


def _file(path: str, place: Path) -> Entry:
    found = place.stat()
    if not stat.S_ISREG(found.st_mode):
        raise PlanError(f"{place} is a special file, which cannot be served")
    mode = "755" if found.st_mode & stat.S_IXUSR else "644"
    size, sha256 = measured(place)
    return Entry(path, Sort.FILE, mode, str(place), size, sha256)


def _link(root: Path, place: Path, path: str) -> Entry:
    target = os.readlink(place)
    inside = os.path.realpath(place).startswith(f"{os.path.realpath(root)}/")
    if target.startswith("/") or not inside or not place.exists():
        raise PlanError(
            f"{place} is a link to {target}, which is not a file of the folder",
            hint="a dev server serves nothing from outside; put the file itself there",
        )
    return Entry(path, Sort.LINK, "777", target=target)


def _check_name(place: Path, name: str) -> None:
    if not name.isprintable():
        raise PlanError(
            f"{str(place)!a} has signs in its name that cannot be shown or are not UTF-8",
            hint="rename it",
        )

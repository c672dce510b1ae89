"""The contents on which an ebuild's metadata depends: its own file and the eclasses it inherits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from crosprov.mirror.memory import digest_of
from crosprov.mirror.metadata import read_file
from crosprov.mirror.sourcing import Wanted

_ENDING = ".eclass"


class Contents:
    """Digest ebuilds of the first folder and eclasses of all, each once: as at its first reading.

    An eclass is looked for as Portage does it, in the tree and then in its masters.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [str(folder) for folder in folders]
        self._ebuilds: dict[str, str | None] = {}
        self._eclasses: dict[str, str | None] = {}
        self._judged: dict[str, bool] = {}
        self._is_whole = False

    def path_of(self, wanted: Wanted) -> str:
        """Name an ebuild's file."""
        folder = f"{self._folders[0]}/{wanted.category}/{wanted.package}"
        return f"{folder}/{wanted.package}-{wanted.version}.ebuild"

    def ebuild(self, wanted: Wanted) -> str | None:
        """Give an ebuild's digest; None when it cannot be read."""
        path = self.path_of(wanted)
        if path not in self._ebuilds:
            self._ebuilds[path] = _digest(path)
        return self._ebuilds[path]

    def inherited(self, names: Iterable[str]) -> str | None:
        """Write eclasses with their digests as one text; None when one is not to be found."""
        words = []
        for name in names:
            digest = self._eclass(name)
            if digest is None:
                return None
            words += [name, digest]
        return "\t".join(words)

    def has(self, eclasses: str) -> bool:
        """Tell whether eclasses have the digests that they had when a text was written."""
        if eclasses not in self._judged:
            names = eclasses.split("\t")[::2] if eclasses else []
            self._judged[eclasses] = self.inherited(names) == eclasses
        return self._judged[eclasses]

    def read(self, wanted: Iterable[Wanted]) -> None:
        """Digest ebuilds and all eclasses at once; for an eclass to come there is no digest."""
        for one in wanted:
            self.ebuild(one)
        for folder in self._folders:
            for name in _names(f"{folder}/eclass"):
                self._eclass(name)
        self._is_whole = True

    def _eclass(self, name: str) -> str | None:
        if name not in self._eclasses:
            self._eclasses[name] = None if self._is_whole else self._find(name)
        return self._eclasses[name]

    def _find(self, name: str) -> str | None:
        found = (_digest(f"{folder}/eclass/{name}{_ENDING}") for folder in self._folders)
        return next((digest for digest in found if digest is not None), None)


def _names(folder: str) -> list[str]:
    try:
        return [name[: -len(_ENDING)] for name in os.listdir(folder) if name.endswith(_ENDING)]
    except OSError:
        return []


def _digest(path: str) -> str | None:
    try:
        return digest_of(read_file(path))
    except OSError:
        return None

"""What the file system says of trees without any file being read: whether they are as they were.

Every change of a file or folder gives it new times, as far as the clock of its file system can
tell two instants apart. So, as in git's index, what was changed at about the time of the look
may be changed again and look the same: only what has been at rest for a while is believed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from crosprov.mirror.memory import digest_of
from crosprov.mirror.trees import Lineage, Package

_NEVER = 1 << 100  # nanoseconds: what cannot be looked at is at no rest
REST = 4.0  # seconds; the coarsest file systems count in steps of two


@dataclass(frozen=True, slots=True)
class Sighting:
    """Hold what stat said of paths: `mark` names all of it, `newest` is the last change.

    `newest` counts nanoseconds since 1970.
    """

    mark: str
    newest: int

    def is_at_rest(self, began: int) -> bool:
        """Tell whether nothing was changed for a while before the look began."""
        return self.newest < began - REST * 1e9


def sight(paths: Iterable[str]) -> Sighting:
    """Look at paths; what is not there is a fact as well, and what cannot be told is at no rest."""
    facts, newest, look = [], 0, os.stat
    for path in paths:
        try:
            found = look(path)
        except OSError as error:
            facts.append(f"none {error.errno}")
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                newest = _NEVER
            continue
        written, changed = found.st_mtime_ns, found.st_ctime_ns
        newest = max(newest, written, changed)
        facts.append(f"{found.st_dev} {found.st_ino} {found.st_size} {written} {changed}")
    return Sighting(digest_of("\n".join(facts).encode()), newest)


def paths_beside(lineage: Lineage, packages: Sequence[Package]) -> Iterator[str]:
    """Name what a reading of a tree looks at beside its packages' own folders.

    That is what the tree and its masters say of themselves, their eclasses, and the cached
    metadata of the packages' categories. Raises OSError for a folder that cannot be listed.
    """
    for folder in lineage.folders:
        yield f"{folder}"
        yield f"{folder}/profiles"
        yield f"{folder}/profiles/repo_name"
        yield f"{folder}/profiles/thirdpartymirrors"
        yield f"{folder}/metadata/layout.conf"
        yield from _with_entries(f"{folder}/eclass")
    cache = f"{lineage.tree.path}/metadata/md5-cache"
    yield cache
    for category in dict.fromkeys(package.category for package in packages):
        yield from _with_entries(f"{cache}/{category}")


def _with_entries(folder: str) -> Iterator[str]:
    yield folder
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (f"{folder}/{name}" for name in sorted(names))

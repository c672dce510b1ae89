"""Which staged build a client means: by the label in its URL, or by its board."""

from __future__ import annotations

import re
from collections.abc import Iterable

from crosprov.devserver.builds import version_key
from crosprov.devserver.payloads import version_in

# What follows the board in the first folder of a build's name, such as eve-release. A board's
# name may have hyphens itself: eve-arc is another board than eve.
_SUFFIXES = frozenset(
    "release paladin full firmware factory incremental postsubmit snapshot cq pre-cq canary "
    "public ci".split()
)
_SIGNED = re.compile(r"-signed-.*")
_BUILD = re.compile(r"R(?P<milestone>\d+)-(?P<version>\d+(?:\.\d+)*).*")
_PART_OF_BUILD = re.compile(r"R\d+(-\d+(\.\d+)?)?")

Order = tuple[tuple[int, ...], int, list[tuple[int, int, str]]]


def plain_board(board: str) -> str:
    """Return a board's name without what signing an image adds to it."""
    return _SIGNED.sub("", board.strip().lower())


def is_of_board(build: str, board: str) -> bool:
    """Tell whether a build such as eve-release/R120-15662.0.0 is one of a board."""
    target = build.rpartition("/")[0].rpartition("/")[2]
    if not target or not board:
        return False
    rest = target.removeprefix(board)
    return target == board or (rest != target and rest[:1] == "-" and rest[1:] in _SUFFIXES)


def newest_first(builds: Iterable[str]) -> list[str]:
    """Order builds by version, the newest first; those without one come last."""
    return sorted(builds, key=order, reverse=True)


def order(build: str) -> Order:
    """Return what builds are compared by: the version, then the milestone, then the name."""
    match = _BUILD.fullmatch(build.rpartition("/")[2])
    if not match:
        return numbers(version_in(build.rpartition("/")[2])), 0, version_key(build)
    return numbers(match["version"]), int(match["milestone"][:9]), version_key(build)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none for a word such as ForcedUpdate."""
    match = re.match(r"\d{1,18}(\.\d{1,18})*(?![0-9])", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def begins_with(build: str, label: str) -> bool:
    """Tell whether a label is the beginning of a build's name.

    It ends where a name could: after a folder, a milestone, or a part of the version. The
    label of a whole build is the beginning of no other.
    """
    if build.startswith(f"{label}/"):
        return True
    if not _PART_OF_BUILD.fullmatch(label.rpartition("/")[2]) or not build.startswith(label):
        return False
    return build[len(label) : len(label) + 1] in ("-", ".")

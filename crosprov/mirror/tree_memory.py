"""The memory of trees that were read: what they were like, and what was noticed in them.

It holds the paths on which the reading depended and one digest over what stat said of each. What
the trees need is not in it: that costs nearly as much to load as to read anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror import memory
from crosprov.mirror.model import Place, Remark
from crosprov.mirror.sightings import Sighting, sight
from crosprov.mirror.trees import Lineage

FILE = "trees.json"


@dataclass(frozen=True, slots=True)
class Told:
    """Hold what is known of trees that are as they were."""

    mark: str
    remarks: tuple[Remark, ...]


class TreeMemory:
    """Remember trees in a mirror's state folder, or with `read_only` only ask what is known."""

    def __init__(self, state: Path, *, read_only: bool = False) -> None:
        self._path = state / FILE
        self._read_only = read_only

    def recall(self, lineages: Sequence[Lineage], source_stale: bool) -> Told | None:
        """Give what is known of the trees; None when they changed, or were not remembered."""
        facts = memory.recall(self._path)
        key = _key(lineages, source_stale)
        if facts is None or facts["key"] != key:
            return None
        mark = _mark(key, sight(facts["paths"]))
        if facts["mark"] != mark:
            return None
        return Told(mark, tuple(_remark(*one) for one in facts["remarks"]))

    def keep(
        self,
        lineages: Sequence[Lineage],
        source_stale: bool,
        paths: Sequence[str],
        sighting: Sighting,
        remarks: Sequence[Remark],
    ) -> str:
        """Remember the trees that looked so before they were read; give the mark of that."""
        key = _key(lineages, source_stale)
        mark = _mark(key, sighting)
        if not self._read_only:
            told = [_words(remark) for remark in remarks]
            memory.keep(self._path, {"key": key, "mark": mark, "remarks": told, "paths": paths})
        return mark


def _key(lineages: Sequence[Lineage], source_stale: bool) -> str:
    """Name a question, with who asks it: another account may not be let into every folder."""
    account = (os.geteuid(), os.getegid(), sorted(os.getgroups()))
    return memory.digest_of(repr((list(lineages), source_stale, account)).encode())


def _mark(key: str, sighting: Sighting) -> str:
    return memory.digest_of(key.encode(), sighting.mark.encode())


def _words(remark: Remark) -> tuple[str, str | None, int, str, str | None]:
    place = remark.place
    path, line = (place.path, place.line) if place else (None, 0)
    return remark.kind, path, line, remark.sentence, remark.hint


def _remark(kind: str, path: str | None, line: int, sentence: str, hint: str | None) -> Remark:
    return Remark(kind, None if path is None else Place(path, line), sentence, hint)

"""What a mirror must have: the union over its trees, with everybody who needs each file."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from crosprov.mirror.deferred import Deferred
from crosprov.mirror.digests import STRONG, computable, strong
from crosprov.mirror.events import Events, mute
from crosprov.mirror.model import Archive, Need, Needs, Remark, Tree
from crosprov.mirror.sightings import paths_beside, sight
from crosprov.mirror.sourced_memory import SourcedMemory
from crosprov.mirror.sourcing import program
from crosprov.mirror.survey import Survey
from crosprov.mirror.tree_memory import TreeMemory
from crosprov.mirror.trees import Lineage, lineage_of, packages_of, read_layout
from crosprov.mirror.union import Clash, Conflict, Union

__all__ = ["Clash", "Conflict", "needs_of"]


def needs_of(
    trees: Sequence[Tree],
    *,
    source_stale: bool = True,
    memory: TreeMemory | None = None,
    sourced: SourcedMemory | None = None,
    events: Events = mute,
) -> Needs:
    """Find what a mirror of these trees must have.

    Nothing is fetched and nothing is written, but for the memories: with `memory`, trees that are
    as they were are read only when somebody asks for what they need, and not for their remarks.
    With `source_stale`, ebuilds whose cached metadata is missing or no longer true are sourced,
    which runs the trees' own shell code; `sourced` knows what they said before. Raises Fault when
    a folder is no tree, and Conflict when one name has two contents; so does `archives` where it
    reads the trees.
    """

    def read(lineages: Sequence[Lineage]) -> Needs:
        with _no_collection():
            reading = _Reading(lineages, source_stale, sourced, events)
            return reading.remembered(memory) if memory else reading.needs()

    lineages = _lineages(trees)
    with _no_collection():
        told = memory.recall(lineages, source_stale) if memory else None
    if told is None:
        return read(lineages)
    # Trees that are read later are what they are by then, their masters included.
    return Needs(Deferred(lambda: read(_lineages(trees))), told.remarks, told.mark)


def _lineages(trees: Sequence[Tree]) -> list[Lineage]:
    known = {read_layout(tree.path).name: tree.path for tree in trees}
    return [lineage_of(tree, known) for tree in trees]


def read_now(needs: Needs) -> Needs:
    """Give needs that are read, with the mark of the trees that they were read from."""
    return needs.archives.reading if isinstance(needs.archives, Deferred) else needs


class _Reading:
    """Trees whose packages are listed, and then read, once."""

    def __init__(
        self,
        lineages: Sequence[Lineage],
        source_stale: bool,
        sourced: SourcedMemory | None,
        events: Events,
    ) -> None:
        self._began = time.time_ns()
        self._lineages = lineages
        self._source = source_stale
        self._sourced = sourced
        self._events = events
        self._looked: list[str] = []
        self._packages = [list(packages_of(one.tree.path, self._looked)) for one in lineages]
        self._surveys: list[Survey] = []

    def needs(self) -> Needs:
        """Read all packages and join what they need; raises Fault and Conflict."""
        union = Union()
        lines: dict[str, Archive] = {}
        for lineage, packages in zip(self._lineages, self._packages, strict=True):
            survey = Survey(lineage, packages, union, lines)
            survey.walk()
            survey.settle(self._sourced, self._events, source=self._source)
            self._surveys.append(survey)
        if self._sourced is not None and self._source:
            self._sourced.forget_others()
        needs = union.needs()
        return Needs(needs, self._remarks(needs))

    def remembered(self, memory: TreeMemory) -> Needs:
        """Read all, and remember what it is like when nothing of it may change unnoticed.

        Trees are looked at before they are read: what changes in between looks different
        afterwards.
        """
        try:
            paths = self._paths()
        except OSError:  # what cannot be listed may change unnoticed
            return self.needs()
        sighting = sight(paths)
        needs = self.needs()
        is_certain = all(survey.is_certain for survey in self._surveys)
        if not is_certain or not sighting.is_at_rest(self._began):
            return needs
        remarks = self._remarks(needs.archives, again=True)
        mark = memory.keep(self._lineages, self._source, paths, sighting, remarks)
        return replace(needs, mark=mark)

    def _paths(self) -> list[str]:
        """Name all files and folders on which the answer depends, with the program that sources."""
        pairs = zip(self._lineages, self._packages, strict=True)
        beside = (path for lineage, listed in pairs for path in paths_beside(lineage, listed))
        sourcing = filter(None, [program() if self._source else None])
        return list(dict.fromkeys([*beside, *self._looked, *sourcing]))

    def _remarks(self, needs: Mapping[str, Need], *, again: bool = False) -> tuple[Remark, ...]:
        of_trees = (one for survey in self._surveys for one in survey.remarks(again=again))
        return (*of_trees, *_weak(needs.values()))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the collector of cycles alone: a walk makes objects by the 10,000, and no cycle."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _weak(needs: Iterable[Need]) -> Iterator[Remark]:
    """Remark on files whose hashes prove little, or nothing on this machine."""
    for need in needs:
        hashes = need.archive.hashes
        if "BLAKE2B" in hashes or strong(hashes):
            continue
        names = " and ".join(hashes)
        place = need.owners[0].manifest
        if not computable(hashes):
            sentence = f"{need.archive.name} has only {names}, which cannot be computed here"
            yield Remark("no computable hash", place, sentence, "write the Manifest anew")
        elif STRONG.isdisjoint(hashes):
            sentence = f"{need.archive.name} has only {names}, which can be forged"
            yield Remark("weak hashes", place, sentence, "write the Manifest anew")
        else:
            sentence = f"{need.archive.name} has {names}, and only the weak ones can be computed"
            yield Remark("weak hashes", place, sentence, "write the Manifest anew")

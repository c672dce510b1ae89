"""What a mirror must have: the union over its trees, with everybody who needs each file."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from crosprov.mirror.digests import STRONG, computable, strong
from crosprov.mirror.model import Archive, Need, Needs, Remark, Tree
from crosprov.mirror.survey import Survey
from crosprov.mirror.trees import lineage_of, read_layout
from crosprov.mirror.union import Clash, Conflict, Union

__all__ = ["Clash", "Conflict", "needs_of"]


def needs_of(trees: Sequence[Tree], *, source_stale: bool = True) -> Needs:
    """Find what a mirror of these trees must have.

    Nothing is fetched and nothing is written. With `source_stale`, ebuilds whose cached
    metadata is missing or no longer true are sourced, which runs the trees' own shell code.
    Raises Fault when a folder is no tree, and Conflict when one name has two contents.
    """
    with _no_collection():
        return _needs_of(trees, source_stale)


def _needs_of(trees: Sequence[Tree], source_stale: bool) -> Needs:
    known = {read_layout(tree.path).name: tree.path for tree in trees}
    union = Union()
    remarks: list[Remark] = []
    lines: dict[str, Archive] = {}
    for tree in trees:
        survey = Survey(lineage_of(tree, known), union, lines)
        survey.walk()
        survey.settle(source=source_stale)
        remarks.extend(survey.remarks)
    needs = union.needs()
    remarks.extend(_weak(needs.values()))
    return Needs(needs, tuple(remarks))


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

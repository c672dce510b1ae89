"""Findings about the names of a tree's files, one for each name however many ebuilds ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crosprov.mirror.findings import Finding
from crosprov.mirror.policy.naming import Named, problems_of_name, revision_of, suggestion
from crosprov.mirror.policy.rules import NAME_REVISION, RULES
from crosprov.mirror.policy.subjects import Ebuild
from crosprov.mirror.uris import Source


def find_names(ebuilds: Iterable[Ebuild]) -> Iterator[Finding]:
    """Judge each name with all ebuilds that ask for it, and find it in one of them."""
    asked: dict[str, list[tuple[Ebuild, Source]]] = {}
    for ebuild in ebuilds:
        for source in ebuild.sources or ():
            asked.setdefault(source.name, []).append((ebuild, source))
    for name, owners in asked.items():
        named = [named_of(ebuild) for ebuild, _ in owners]
        for problem in problems_of_name(name, named):
            revised = [pair for pair in owners if revision_of(name, named_of(pair[0]))]
            chosen = revised if problem == NAME_REVISION.id else owners
            ebuild, source = chosen[-1]
            better = suggestion(name, named_of(ebuild))
            yield RULES[problem].at(ebuild.place_of_name(source), name, suggestion=better)


def named_of(ebuild: Ebuild) -> Named:
    """Name an ebuild's package and version."""
    return Named(ebuild.held.package.name, ebuild.version, ebuild.revision)

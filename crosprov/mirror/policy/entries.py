"""Entries of Manifests: each file has one, one name means one content, a mirror has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from crosprov.mirror.findings import Finding
from crosprov.mirror.manifests import Manifest, problem_of_name
from crosprov.mirror.model import Archive, Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.buckets import Buckets, object_of
from crosprov.mirror.policy.subjects import Ebuild, Held
from crosprov.mirror.tracks import compare

_MANY = 3  # names that are written out


@dataclass(frozen=True, slots=True)
class Mirror:
    """Hold the listing of a mirror: its files by name, with the hashes that are known of them.

    `public` is None for a mirror of which nobody said who may read it.
    """

    name: str
    public: bool | None
    files: Mapping[str, Archive]


def find_entries(held: Held, ebuilds: Iterable[Ebuild], *, expected: bool) -> Iterator[Finding]:
    """Find the lines that cannot be read, and the files without an entry.

    `expected` is false for a tree that declares to have no Manifests.
    """
    for remark in held.manifest.remarks:
        advice = remark.hint or f"write it anew: crosprov mirror manifest {held.path}"
        place = remark.place or Place(held.manifest.path)
        yield rules.MANIFEST.at(place, held.path, problem=remark.sentence, advice=advice)
    if held.manifest.remarks or not expected:
        return
    for ebuild in ebuilds:
        sources = {s.name: s for s in ebuild.sources or ()}
        lacking = [s for s in sources.values() if s.name not in held.manifest.archives]
        for source in lacking:
            bad = problem_of_name(source.name)
            if bad:
                problem = f"{source.name!r} cannot be the name of a file on a mirror: {bad}"
                advice = "give it another name with '-> name' in SRC_URI"
                yield rules.MANIFEST.at(
                    ebuild.place_of_name(source), source.name, problem=problem, advice=advice
                )
        names = [s.name for s in lacking if not problem_of_name(s.name)]
        if names:
            place = ebuild.place_of_name(sources[names[0]])
            yield rules.MANIFEST.at(
                place,
                names[0],
                problem=f"the Manifest has no entry of {_some(names)}",
                advice=f"crosprov mirror manifest {held.path} writes it",
            )


def find_clashes(packages: Iterable[Held], elsewhere: Iterable[Manifest] = ()) -> Iterator[Finding]:
    """Find names that stand for one content here and for another there, or in other trees."""
    first: dict[str, tuple[Archive, Place]] = {}
    for manifest in elsewhere:
        for name, archive in manifest.archives.items():
            first.setdefault(name, (archive, manifest.place_of(name)))
    for held in packages:
        for name, archive in held.manifest.archives.items():
            earlier = first.get(name)
            if earlier is None:
                first[name] = (archive, held.manifest.place_of(name))
            elif archive is not earlier[0] and compare(earlier[0], archive) is False:
                yield rules.NAME_CLASH.at(held.manifest.place_of(name), name, other=earlier[1])


def find_unmirrored(
    ebuild: Ebuild, mirrors: Iterable[Mirror], buckets: Buckets, *, public: bool
) -> Iterator[Finding]:
    """Find the files that no mirror has; ebuilds of a public tree may use public ones only."""
    usable = [mirror for mirror in mirrors if mirror.public is not False or not public]
    archives = ebuild.held.manifest.archives
    for source in {s.name: s for s in ebuild.sources or ()}.values():
        there = {m.name: m.files[source.name] for m in usable if source.name in m.files}
        archive = archives.get(source.name)
        if archive and any(compare(one, archive) is not False for one in there.values()):
            continue
        if there and not archive:
            continue
        thing = object_of(source.uri)
        if thing is not None and thing.bucket in buckets.partner:
            continue  # partners fill that one, and nobody else can list it
        yield _unmirrored(source.name, there, archive, ebuild.place_of_name(source))


def _unmirrored(
    name: str, there: Mapping[str, Archive], archive: Archive | None, place: Place
) -> Finding:
    if there and archive:
        mirror, other = next(iter(there.items()))
        problem = f"has {_told(archive, other)} by its Manifest, and {_told(other, archive)} on"
        problem += f" {mirror}"
        advice = "give the file a name of its own; what is on a mirror is never replaced"
    else:
        problem = "is on no mirror"
        advice = (
            "a file of Gentoo's that the automatic mirror lacks is a bug of its sync: report it; "
            "any other is for crosprov mirror publish"
        )
    return rules.UNMIRRORED.at(place, name, problem=problem, advice=advice)


def _told(one: Archive, other: Archive) -> str:
    """Say of a content what tells it from another one: its size, or else a hash."""
    if one.size != other.size:
        return f"{one.size} bytes"
    apart = (n for n in one.hashes if other.hashes.get(n, one.hashes[n]) != one.hashes[n])
    algorithm = next(apart)
    return f"{algorithm} {one.hashes[algorithm][:16]}…"


def _some(names: list[str]) -> str:
    rest = len(names) - _MANY
    return ", ".join(names[:_MANY]) + (f" and {rest} more" if rest > 0 else "")

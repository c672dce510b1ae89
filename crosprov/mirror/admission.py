"""What has to be true of a file before a mirror takes it, for a mirror takes nothing back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crosprov.mirror.digests import computable, strong
from crosprov.mirror.findings import Finding
from crosprov.mirror.hashing import Sum
from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Archive, Fault, Need, Needs, Owner, Place
from crosprov.mirror.policy.archives import XZ, find_layout, problem_of_format
from crosprov.mirror.policy.naming import Named, problems_of_name, suggestion
from crosprov.mirror.policy.rules import OWN_FORMAT, RULES
from crosprov.mirror.presets import preset_of

Judge = Callable[[Path, str, str, Sequence[Owner], bool], Sequence[Finding]]
"""Judge a file: its new name, the mirror's name, who needs it, and whether it is one's own."""


def check_mirror(mirror: Mirror) -> None:
    """Raise Fault for a mirror that people do not fill themselves."""
    if mirror.kind == "automatic":
        raise Fault(
            f"the mirror {mirror.name} is filled by a program, and nobody publishes there",
            hint="a file that it lacks is a fault of that program: report it, and use no other "
            "mirror in its place",
        )
    if not mirror.filled_by_us:
        raise Fault(
            f"the mirror {mirror.name} is filled by partners through a front end of its own",
            hint="ask the partner to upload the file there",
        )


def check_need(archive: Archive, mirror: Mirror, need: Need) -> None:
    """Raise Fault when a file is not what the Manifests promise, or not where its users may go."""
    difference = Sum(archive.size, archive.hashes).difference(need.archive)
    first = need.owners[0]
    if difference:
        raise Fault(
            f"{archive.name} is not the file that {first.package} needs: it has {difference}",
            hint="find the right file, or write the Manifest anew if nobody uses it yet",
            where=str(first.manifest),
        )
    if not strong(need.archive.hashes):
        raise Fault(
            f"the Manifest has only {' and '.join(need.archive.hashes)} of {archive.name}, which "
            "proves nothing",
            hint="write the Manifest anew with crosprov mirror manifest",
            where=str(first.manifest),
        )
    public = [owner for owner in need.owners if owner.public]
    if public and not mirror.public:
        raise Fault(
            f"{public[0].package} of the public tree {public[0].tree} needs {archive.name}, and "
            f"the mirror {mirror.name} is private",
            hint="publish it on a public mirror, or move the ebuild to a private tree",
            where=public[0].ebuild,
        )


def algorithms_for(need: Need | None) -> frozenset[str]:
    """Choose the hashes that a file is to be measured with: today's, MD5 for buckets, the need's.

    MD5 is what Google Storage knows of a file without reading it.
    """
    wanted = computable(need.archive.hashes) if need is not None else {}
    return frozenset({"BLAKE2B", "SHA512", "MD5", *wanted})


def need_of(needs: Needs | None, name: str) -> Need | None:
    """Find who needs a file."""
    return needs.archives.get(name) if needs is not None else None


def is_own(need: Need | None, mirror: Mirror) -> bool:
    """Tell whether an archive is one's own: no ebuild says that it comes from elsewhere."""
    owners = need.owners if need is not None else ()
    ours = tuple(f"{base.rstrip('/')}/" for base in (mirror.store, mirror.reading) if base)
    return all(
        uri.text.startswith(ours) or preset_of(uri.text) is not None
        for owner in owners
        for uri in owner.uris
    )


def check_name(name: str) -> None:
    """Raise Fault for a name that no file of a mirror can have."""
    problem = problem_of_name(name)
    if problem:
        raise Fault(f"{name!r} cannot be the name of a file on a mirror: {problem}")


def judge(
    file: Path, name: str, mirror: str, owners: Sequence[Owner], own: bool
) -> Sequence[Finding]:
    """Judge a file by the policy: its name, and for an archive of one's own what it holds."""
    named = [_named(owner) for owner in owners]
    return [*_naming(str(file), name, named), *(_archive(file, name, mirror) if own else ())]


def judge_own_name(name: str) -> Sequence[str]:
    """Give a sentence for each thing that is wrong with the name of an archive of one's own."""
    return [finding.sentence for finding in _naming(name, name, ())]


def _naming(path: str, name: str, named: Sequence[Named]) -> Iterator[Finding]:
    better = suggestion(name, named[0] if named else Named("PROJECT", "VERSION"))
    for rule in problems_of_name(name, named):
        yield RULES[rule].at(Place(path), name, suggestion=better)


def _archive(file: Path, name: str, mirror: str) -> Iterator[Finding]:
    """Judge the form of an archive of one's own; a single file that is none may be anything."""
    place = Place(str(file))
    if problem_of_format(name):
        yield OWN_FORMAT.at(place, name, bucket=mirror)
    elif name.endswith(XZ):
        try:
            with file.open("rb") as content:
                yield from find_layout(name, content, place)
        except OSError as error:
            raise Fault(f"the file cannot be read: {error.strerror}", where=str(file)) from None


def _named(owner: Owner) -> Named:
    version, _, revision = owner.version.rpartition("-r")
    project = owner.package.rpartition("/")[2]
    if version and revision.isdecimal():
        return Named(project, version, int(revision))
    return Named(project, owner.version)

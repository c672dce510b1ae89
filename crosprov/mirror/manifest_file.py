"""A package's Manifest written from what is on the mirror, in a folder at hand, or upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.digests import computable, is_computable
from crosprov.mirror.fetchables import Fetchables, fetchables_of
from crosprov.mirror.findings import several
from crosprov.mirror.manifest_text import (
    local_entries,
    manifest_text,
    read_bytes,
    replace_text,
)
from crosprov.mirror.manifests import Manifest, read_manifest
from crosprov.mirror.measuring import measure
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.origins import Absent, Origin
from crosprov.mirror.stores import new_name

KEPT = "the Manifest"


@dataclass(frozen=True, slots=True)
class Sourced:
    """Say where a file's entry comes from: an address or a path, or KEPT for an earlier entry.

    `kind` is the word of the caller for the origin, empty for a kept one.
    """

    archive: Archive
    where: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """Say what became of a Manifest.

    `kept` names the entries that no chosen ebuild fetches and that stay; `dropped` those that
    were taken out because no ebuild fetches them. `changed` is false when nothing was written.
    """

    path: Path
    files: tuple[Sourced, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    changed: bool


def write_manifest(
    package: Path,
    origins: Mapping[str, Origin],
    *,
    masters: Sequence[Path] = (),
    again: bool = False,
    prune: bool = False,
    dry_run: bool = False,
) -> Written:
    """Write the Manifest of a package (its folder), or of one ebuild's files in it (its file).

    Each file comes from the first of the `origins` that has it; their keys are the words for
    them in the answer. Entries that are there stay, and with `again` are proven anew: another
    content is a Fault, a mirror never changes a file. `prune` drops what no ebuild fetches.

    Nothing is written when a file is nowhere to be had. Raises Fault for that, for an ebuild
    that cannot be understood, and for a Manifest that is wrong or signed.
    """
    found = fetchables_of(package, masters)
    path = found.folder / "Manifest"
    _check_wanted(found)
    before = read_bytes(path)
    earlier = _read(before, path)
    files = _gather(found, earlier, origins, again)
    rest = {name: one for name, one in earlier.archives.items() if name not in found.uris}
    dropped = tuple(sorted(rest)) if prune and found.whole else ()
    kept = () if dropped else tuple(sorted(rest))
    entries = [("DIST", one.archive) for one in files]
    entries += [("DIST", rest[name]) for name in kept]
    if not found.layout.thin:
        entries += local_entries(found.folder, found.layout.hashes)
    text = manifest_text(entries)
    changed = text.encode() != before
    if changed and not dry_run:
        replace_text(path, text)
    return Written(path, files, kept, dropped, changed)


def _check_wanted(found: Fetchables) -> None:
    where = f"{found.folder.parent.parent}/metadata/layout.conf"
    if not found.layout.manifests:
        raise Fault("the tree says that it has no Manifests (use-manifests = false)", where=where)
    unknown = [name for name in found.layout.hashes if not is_computable(name)]
    if unknown:
        raise Fault(
            f"the tree wants {' and '.join(unknown)}, which cannot be computed here",
            hint="set manifest-hashes = BLAKE2B SHA512, which Portage takes by itself, too",
            where=where,
        )


def _read(content: bytes, path: Path) -> Manifest:
    manifest = read_manifest(content, str(path))
    if not manifest.sound:
        first = manifest.remarks[0]
        raise Fault(first.sentence, hint=first.hint, where=str(first.place or path))
    if manifest.signed:
        raise Fault(
            "the Manifest is signed, and writing it would break the signature",
            hint="take the lines of the signature out, and sign it again afterwards",
            where=str(path),
        )
    return manifest


def _gather(
    found: Fetchables, earlier: Manifest, origins: Mapping[str, Origin], again: bool
) -> tuple[Sourced, ...]:
    files: list[Sourced] = []
    lacking: list[str] = []
    for name in sorted(found.uris):
        entry = earlier.archives.get(name)
        if entry is not None and not again:
            files.append(Sourced(entry, KEPT))
            continue
        try:
            one = _source(name, found, origins)
        except Absent as absent:
            lacking.append(f"{name}: {absent}")
            continue
        if entry is not None:
            _check_same(entry, one, earlier)
        files.append(one)
    if lacking:
        failed = f"{len(lacking)} of {several(len(found.uris), 'file')}"
        raise Fault(
            f"{failed} cannot be had: {'; '.join(lacking)}",
            hint="publish the file on a mirror first, or name the folder that holds it",
            where=str(found.folder),
        )
    return tuple(files)


def _source(name: str, found: Fetchables, origins: Mapping[str, Origin]) -> Sourced:
    """Measure a file from the first origin that gives all of it; raises Absent."""
    reasons: list[str] = []
    wanted = found.layout.hashes
    for kind, origin in origins.items():
        try:
            where, blocks = origin.read(name, found.uris[name])
            archive = measure(blocks, name, wanted)
        except Absent as absent:
            reasons.append(str(absent))
            continue
        if archive.size == 0:
            reasons.append(f"{where} is empty")
            continue
        return Sourced(archive, where, kind)
    raise Absent("; ".join(reasons) or "there is no place to look")


def _check_same(entry: Archive, one: Sourced, earlier: Manifest) -> None:
    """Raise Fault when a file is not what the Manifest has said of it so far."""
    other = one.archive
    place = str(earlier.place_of(entry.name))
    hint = f"a file in use never changes: give the new one another name, {new_name(entry.name)}"
    if entry.size != other.size:
        sentence = f"{entry.name} has {entry.size} bytes here, and {other.size} at {one.where}"
        raise Fault(sentence, hint=hint, where=place)
    common = [name for name in computable(entry.hashes) if name in other.hashes]
    for name in common:
        if entry.hashes[name] != other.hashes[name]:
            raise Fault(
                f"{entry.name} has {name} {entry.hashes[name]} here, and "
                f"{other.hashes[name]} at {one.where}",
                hint=hint,
                where=place,
            )
    if not common:
        raise Fault(
            f"{entry.name} has only {' and '.join(entry.hashes)} here, which says nothing of "
            f"the file at {one.where}",
            hint="take the line out if that file is the right one",
            where=place,
        )

"""A file put on a mirror: checked, uploaded once and for all, and read back as its users do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror import admission
from crosprov.mirror.findings import Finding
from crosprov.mirror.measuring import measure, measure_file
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Archive, Fault, Need, Needs
from crosprov.mirror.policy.archives import XZ, folder_of
from crosprov.mirror.policy.rules import OWN_FORMAT, OWN_LAYOUT
from crosprov.mirror.proof import read_back
from crosprov.mirror.readback import WAITS, everybody_reads
from crosprov.mirror.renaming import next_name
from crosprov.mirror.stores import Exists, Recording, Store, Stored
from crosprov.mirror.wholeness import check_whole

_FOR_OWN = frozenset({OWN_FORMAT.id, OWN_LAYOUT.id})


@dataclass(frozen=True, slots=True)
class Published:
    """Say what is on the mirror now, or after a dry run what would be.

    `where` is the file's place in the store, `address` where its users read it, if that is
    known. `was_there` says that the mirror had the same content before. `access` is the ACL
    that it got, or why it got none. `proofs` are sentences about how it was read back,
    `remarks` about what could not be proven.
    """

    mirror: str
    where: str
    address: str | None
    archive: Archive
    was_there: bool
    access: str
    proofs: tuple[str, ...]
    remarks: tuple[str, ...]


class Objections(Fault):
    """The policy is against a file; `findings` say why, one for each rule.

    `guessed` says that nobody said whose archive it is.
    """

    def __init__(self, name: str, findings: Sequence[Finding], *, guessed: bool = False) -> None:
        hints = [one.hint for one in findings]
        if guessed and any(one.rule in _FOR_OWN for one in findings):
            hints.append("if somebody else made it so, say that with --foreign")
        sentences = [f"{one.sentence} [{one.rule}]" for one in findings]
        if len(sentences) == 1:
            said = f"{name} was not published: {sentences[0]}"
        else:
            said = "\n    ".join([f"{name} was not published:", *sentences])
        super().__init__(said, hint="\n    ".join(dict.fromkeys(hints)))
        self.findings = tuple(findings)


class Taken(Fault):
    """Another content has the name; `other` describes it.

    An archive of one's `own` holds a folder of its name, so that another name alone will not do.
    """

    def __init__(
        self, where: str, archive: Archive, other: Archive, free: str, *, own: bool
    ) -> None:
        one = next(iter(other.hashes))
        again = f"rename its folder to {folder_of(free)}, pack it again, and publish {free}"
        packed = own and free.endswith(XZ)
        super().__init__(
            f"another file has the name {archive.name} already: {archive.size} bytes with {one} "
            f"{archive.hashes[one]} here, {other.size} bytes with {other.hashes[one]} there",
            hint="a mirror never changes a file: "
            + (again if packed else f"publish this one as {free}"),
            where=where,
        )
        self.other = other
        self.free = free


def publish(
    file: Path,
    mirror: Mirror,
    needs: Needs | None = None,
    *,
    name: str | None = None,
    own: bool | None = None,
    allowed: Collection[str] = (),
    judge: admission.Judge = admission.judge,
    store: Store | None = None,
    waits: Sequence[float] = WAITS,
    dry_run: bool = False,
) -> Published:
    """Put a file on a mirror, for ever, under its own name or another.

    The checks come first. `needs` are what trees say of the file: when one does, its hashes
    have to fit. `own` says whether the archive is one's own, to which the rules for its content
    apply; None judges by the trees. `allowed` names rules that do not count this time.
    `store` is the mirror's, when it is open already. With `dry_run` all is checked, and a file
    that is not there yet stays away.

    The same content under the name is success. Raises Objections, Taken, and Fault for whatever
    else a person must mend; a Fault after the upload says that the file is there.
    """
    name = name or file.name
    admission.check_mirror(mirror)
    admission.check_name(name)
    need = admission.need_of(needs, name)
    one_s_own = admission.is_own(need, mirror) if own is None else own
    archive = _admitted(file, mirror, need, name, one_s_own, own is None, allowed, judge)
    _refuse_leak(mirror, archive)
    store = store or mirror.open()
    was_there = _is_there(store, archive, own=one_s_own)
    proofs: tuple[str, ...] = ()
    if dry_run and not was_there:
        remarks = _doubts(store)
    else:
        if not was_there:
            _upload(store, file, archive, own=one_s_own)
        proofs, remarks = read_back(store, mirror, archive, waits)
        if was_there and not dry_run:
            remarks += _remembered(store, archive)
    where = f"{store.place}/{archive.name}"
    access = _access(store, mirror, was_there)
    return Published(
        mirror.name, where, mirror.url(archive.name), archive, was_there, access, proofs, remarks
    )


def _admitted(
    file: Path,
    mirror: Mirror,
    need: Need | None,
    name: str,
    own: bool,
    guessed: bool,
    allowed: Collection[str],
    judge: admission.Judge,
) -> Archive:
    """Measure a file that the mirror may take under a name; raises Fault for any other."""
    archive = measure_file(file, admission.algorithms_for(need), name)
    if archive.size == 0:
        raise Fault("the file is empty", where=str(file))
    if need is not None:
        admission.check_need(archive, mirror, need)
    else:  # what a Manifest describes is what it should be
        check_whole(file, name)
    owners = need.owners if need is not None else ()
    findings = [
        one for one in judge(file, name, mirror.name, owners, own) if one.rule not in allowed
    ]
    if findings:
        raise Objections(name, findings, guessed=guessed)
    return archive


def _refuse_leak(mirror: Mirror, archive: Archive) -> None:
    """Raise Fault before a private file gets into a bucket that everybody reads."""
    if mirror.public or not mirror.in_bucket or not everybody_reads(mirror.bucket, mirror.service):
        return
    raise Fault(
        f"{archive.name} was not published: everybody can read the bucket {mirror.bucket} of the "
        f"private mirror {mirror.name}",
        hint=f"take allUsers out of its roles; crosprov mirror protect {mirror.name} shows them",
    )


def _is_there(store: Store, archive: Archive, *, own: bool) -> bool:
    """Tell whether a file's content is there under its name; raises Taken for another."""
    stored = store.find(archive.name)
    if stored is None:
        return False
    other = _described(store, stored, archive)
    if _differ(archive, other):
        raise _taken(store, archive, other, own=own)
    return True


def _upload(store: Store, file: Path, archive: Archive, *, own: bool) -> None:
    """Upload a file; raises Taken when another one was faster."""
    try:
        store.create(archive.name, file, archive)
    except Exists as exists:
        if exists.stored is None:
            raise
        other = _described(store, exists.stored, archive)
        raise _taken(store, archive, other, own=own) from None


def _doubts(store: Store) -> tuple[str, ...]:
    """Say what a dry run can know of an upload that would be refused."""
    may_create = getattr(store, "may_create", None)
    if may_create is None or may_create():
        return ()
    return (f"it would be refused: whoever runs this may not create files in {store.place}",)


def _remembered(store: Store, archive: Archive) -> tuple[str, ...]:
    """Have the store write down a file that was there; say when it cannot."""
    if isinstance(store, Recording):
        try:
            store.remember(archive)
        except Fault as fault:
            return (f"that it is published is not written down beside it: {fault}",)
    return ()


def _described(store: Store, stored: Stored, archive: Archive) -> Archive:
    """Describe what the store has, by what it vouches for or else by reading it."""
    common = {key: digest for key, digest in stored.hashes.items() if key in archive.hashes}
    if common:
        return Archive(stored.name, stored.size, common)
    return measure(store.read(stored.name), stored.name, ("BLAKE2B", "SHA512"), stored.size)


def _differ(archive: Archive, other: Archive) -> bool:
    common = {key: archive.hashes[key] for key in other.hashes if key in archive.hashes}
    return archive.size != other.size or common != dict(other.hashes)


def _taken(store: Store, archive: Archive, other: Archive, *, own: bool) -> Taken:
    free = next_name(archive.name)
    for _ in range(20):
        if store.find(free) is None:
            break
        free = next_name(free)
    return Taken(store.place, archive, other, free, own=own)


def _access(store: Store, mirror: Mirror, was_there: bool) -> str:
    if not mirror.in_bucket:
        return "as the folder is served"
    if getattr(store, "is_uniform", False):
        return "uniform, the bucket decides"
    return "as it was" if was_there else mirror.wanted_acl

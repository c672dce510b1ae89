"""The proof that a file is on a mirror for those who may read it, and for nobody else."""

from __future__ import annotations

from collections.abc import Sequence

from crosprov.mirror.hashing import Sum
from crosprov.mirror.hosts import Reader
from crosprov.mirror.measuring import measure
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.readback import Reading, read_anonymously, read_as
from crosprov.mirror.stores import Store


def read_back(
    store: Store, mirror: Mirror, archive: Archive, waits: Sequence[float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prove that users get the file, and for a private mirror that nobody else does.

    Gives sentences about what was proven, and about what could not be. Raises Fault when users
    do not get it, and when others do.
    """
    proofs: list[str] = []
    remarks: list[str] = []
    url = mirror.url(archive.name)
    if url is None:
        remarks.append("nobody said where users read the mirror, so that was not tried")
    if url is not None and mirror.reader is not None:
        proofs.append(_proven_for(mirror.reader, store, archive, url, waits))
    elif url is None or not mirror.public:
        _check_stored(store, archive)
        proofs.append(f"{store.place} gives the file to those who may read it")
    if url is not None:
        reading = read_anonymously(url, archive, waits)
        if mirror.public:
            proofs.append(_proven_public(store, archive, reading))
        elif not mirror.in_bucket and mirror.reader is None and reading.outcome == "same":
            remarks.append(f"{reading.sentence} to this machine; to whom else is up to its server")
        elif _proves_private(store, archive, reading):
            proofs.append(f"without credentials {reading.sentence}")
        else:
            remarks.append(f"that it is private was not proven: {reading.sentence}")
    return tuple(proofs), tuple(remarks)


def _check_stored(store: Store, archive: Archive) -> None:
    blocks = store.read(archive.name)
    found = measure(blocks, archive.name, archive.hashes, archive.size)
    difference = Sum(found.size, found.hashes).difference(archive)
    if difference:
        raise Fault(
            f"{archive.name} was published, and reading it gives another content: {difference}",
            hint="tell those who keep the mirror; the file cannot be taken back",
            where=store.place,
        )


def _proven_for(
    reader: Reader, store: Store, archive: Archive, url: str, waits: Sequence[float]
) -> str:
    reading = read_as(reader, url, archive, waits)
    if reading.outcome == "same":
        return f"as the reader {reader.name} {reading.sentence}"
    hint = "is the inventory applied to the mirror's host?"
    raise Fault(
        f"{archive.name} is there, but the reader {reader.name} does not get it: "
        f"{reading.sentence}",
        hint="run it again: what is there already is only read back"
        if reading.outcome == "silent"
        else hint,
        where=store.place,
    )


def _proven_public(store: Store, archive: Archive, reading: Reading) -> str:
    if reading.outcome == "same":
        return f"without credentials {reading.sentence}"
    hints = {
        "refused": "let everybody read it: crosprov mirror acl",
        "page": "that address asks people to sign in; is it where users read?",
        "other": "tell those who keep the mirror; is something between it and its users?",
        "absent": "is that address where users read this mirror?",
        "silent": "run it again: what is there already is only read back",
    }
    raise Fault(
        f"{archive.name} is there, but users do not get it: {reading.sentence}",
        hint=hints[reading.outcome],
        where=store.place,
    )


def _proves_private(store: Store, archive: Archive, reading: Reading) -> bool:
    if reading.outcome in ("same", "other"):
        raise Fault(
            f"{archive.name} is there, and everybody can read it: {reading.sentence}",
            hint="close it now with crosprov mirror acl, or in the bucket's own access rules",
            where=store.place,
        )
    return reading.outcome in ("refused", "page")

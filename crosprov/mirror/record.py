"""The record of what was published: a file beside a mirror's files, which `verify` compares.

A line says when what was published: seconds since 1970, size, algorithm, digest, name. Lines are
only ever added, under a lock that also holds while the file gets its name, so that of several
lines for one name the last one counts. Each begins with the end of the line before it: one that a
loss of power cut short spoils no other.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosprov.mirror.digests import computable
from crosprov.mirror.ledger import Proof, line_of
from crosprov.mirror.model import Archive, Fault

RECORD = ".crosprov-published"  # no listing shows it, and only the folder's owner reads it
PREFERRED = "SHA512"  # which every host can compute
_LINE = re.compile(
    rb"([0-9]{1,12}) ([0-9]{1,18}) ([A-Z0-9_]{1,20}) ([0-9a-f]{8,256}) ([^/\0]{1,255})"
)


def line_for(archive: Archive, algorithm: str = PREFERRED) -> str:
    """Write an archive as the record has it, without the time that stands before."""
    return f"{archive.size} {algorithm} {archive.hashes[algorithm]} {archive.name}"


def proofs_in(content: bytes) -> dict[str, Proof]:
    """Read a record: the last line of each name, as a proof of a file that nobody looked at since.

    Lines that are none are passed over.
    """
    found = {}
    for line in content.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is not None:
            when, size, algorithm, digest, name = (os.fsdecode(one) for one in match.groups())
            found[name] = Proof(name, "", int(size), line_of({algorithm: digest}), float(when))
    return found


def read_record(folder: str) -> dict[str, Proof]:
    """Read the record of a folder of this machine; raises Fault when it cannot be read."""
    try:
        return proofs_in(Path(folder, RECORD).read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Fault(
            f"the record of what was published cannot be read: {error.strerror}",
            where=f"{folder}/{RECORD}",
        ) from None


@contextmanager
def recorded(folder: str, archive: Archive) -> Iterator[None]:
    """Hold a folder's record for a block that publishes an archive, and write it down before.

    Nothing is written when something has the name already. Raises OSError.
    """
    with _opened(folder) as number:
        if not os.path.lexists(Path(folder, archive.name)):
            _add(number, archive)
        yield


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    number = os.open(Path(folder, RECORD), flags, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield number
    finally:
        os.close(number)


def _add(number: int, archive: Archive) -> None:
    """Add an archive to an open record, in one write; raises OSError."""
    hashes = computable(archive.hashes)
    if hashes:
        algorithm = PREFERRED if PREFERRED in hashes else min(hashes)
        line = f"\n{int(time.time())} {line_for(archive, algorithm)}\n"
        os.write(number, os.fsencode(line))
        os.fsync(number)


def remember(folder: str, archive: Archive) -> None:
    """Write down a file that was there already, unless the record has it; raises Fault."""
    proof = read_record(folder).get(archive.name)
    known = proof.by_algorithm() if proof else {}
    if known and known.items() <= archive.hashes.items():
        return
    try:
        with _opened(folder) as number:
            _add(number, archive)
    except OSError as error:
        raise Fault(
            f"the record of what was published cannot be written: {error.strerror}",
            where=f"{folder}/{RECORD}",
        ) from None

"""Reading archives: tar, also compressed by gzip, bzip2 or xz, and zip, as one kind of members."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

PIECE = 1024 * 1024  # bytes
LARGEST_HEADER = 4 * PIECE  # bytes that a reader may want at once; real headers have hundreds
LONGEST_TARGET = 4096  # bytes of a symbolic link, the limit of Linux

# What the readers raise for an archive that is broken; bz2 and gzip also an OSError without a
# number.
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # of zipfile: encrypted, or a compression that it does not know
    ValueError,
    IndexError,
    OverflowError,
)


class Readable(Protocol):
    """Bytes of a member."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive; `target` is that of a link, below the archive for a hard one."""

    path: str
    kind: str  # file, folder, link (symbolic), twin (hard link), other
    size: int = 0
    is_executable: bool = False
    target: str = ""
    open: Callable[[], Readable] | None = None


class _Bounded:
    """A stream that refuses to be read in large pieces.

    tarfile reads a member's extended header as a whole, and its length is the archive's word:
    a few kilobytes of compressed zeros could ask for all memory.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise tarfile.ReadError("a header in it is too large")
        return self._stream.read(size)


@contextmanager
def members_of(archive: Path) -> Iterator[Iterator[Member]]:
    """Open an archive, whose kind is seen from its first bytes; raises one of BROKEN, or OSError.

    Members come with the names that the archive gives them, which prove nothing.
    """
    with open(archive, "rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(b"PK"):
            with zipfile.ZipFile(file) as opened:
                yield _of_zip(opened)
            return
        stream: IO[bytes] = file
        if magic.startswith(b"\x1f\x8b"):
            stream = gzip.open(file, "rb")  # type: ignore[assignment]
        elif magic.startswith(b"BZh"):
            stream = bz2.open(file, "rb")
        elif magic == b"\xfd7zXZ\0":
            stream = lzma.open(file, "rb")
        with stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as tar:  # type: ignore[call-overload]
            yield _of_tar(tar)


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    while (member := archive.next()) is not None:
        kind = "other"
        if member.isreg():
            kind = "file"
        elif member.isdir():
            kind = "folder"
        elif member.issym():
            kind = "link"
        elif member.islnk():
            kind = "twin"
        yield Member(
            path=member.name,
            kind=kind,
            size=member.size if kind == "file" else 0,
            is_executable=bool(member.mode & 0o100),
            target=member.linkname,
            open=_opener(archive, member) if kind == "file" else None,
        )
        archive.members = []  # type: ignore[attr-defined] # else it keeps all it has seen


def _opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], Readable]:
    def opened() -> Readable:
        found = archive.extractfile(member)
        if found is None:
            raise tarfile.ReadError("a member cannot be read")
        return found

    return opened


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        if info.flag_bits & 1:
            raise zipfile.BadZipFile("it is encrypted")
        mode = info.external_attr >> 16
        kind = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}.get(
            stat.S_IFMT(mode), "other"
        )
        if info.is_dir():
            kind = "folder"
        target = ""
        if kind == "link":
            if info.file_size > LONGEST_TARGET:
                raise zipfile.BadZipFile("a link in it is too long")
            target = os.fsdecode(archive.read(info))
        yield Member(
            path=info.filename,
            kind=kind,
            size=info.file_size if kind == "file" else 0,
            is_executable=bool(mode & 0o100),
            target=target,
            open=_zip_opener(archive, info) if kind == "file" else None,
        )


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Readable]:
    return lambda: archive.open(info)

"""Archives of one's own: xz tarballs with one folder in them that is named as the archive."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from typing import IO

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.buckets import Buckets, object_of
from crosprov.mirror.policy.subjects import Ebuild
from crosprov.mirror.uris import Source

XZ = (".tar.xz", ".txz")
# Archives that are no xz tarballs; a single file, packed or not, is no archive.
OTHERS = (
    ".7z .a .cab .cpio .cpio.bz2 .cpio.gz .cpio.xz .deb .jar .lha .rar .rpm .shar .tar .tar.bz2"
    " .tar.gz .tar.lz .tar.lzma .tar.lz4 .tar.zst .tar.Z .tbz .tbz2 .tgz .tlz .tzst .zip"
).split()

Opener = Callable[[str], IO[bytes] | None]


def problem_of_format(name: str) -> str | None:
    """Give the ending of an archive that is no xz tarball; None for what is one, or no archive."""
    if name.endswith(XZ):
        return None
    return max((end for end in OTHERS if name.lower().endswith(end.lower())), key=len, default=None)


def own_bucket(source: Source, buckets: Buckets) -> str | None:
    """Name the mirror of one's own that a file is asked of; else None."""
    thing = object_of(source.uri)
    return thing.bucket if thing is not None and thing.bucket in buckets.own else None


def find_formats(ebuild: Ebuild, buckets: Buckets) -> Iterator[Finding]:
    """Find the archives of one's own that are no xz tarballs."""
    for source in ebuild.sources or ():
        bucket = own_bucket(source, buckets)
        if bucket and problem_of_format(source.name):
            yield rules.OWN_FORMAT.at(ebuild.place_of_name(source), source.name, bucket=bucket)


def find_layout(name: str, content: IO[bytes], place: Place) -> Iterator[Finding]:
    """Look into an xz tarball for what does not lie in the folder that has its name.

    The content is read once, as a stream; nothing is unpacked.
    """
    folder = folder_of(name)
    problem = problem_of_layout(content, folder)
    if problem:
        yield rules.OWN_LAYOUT.at(place, name, problem=problem, folder=folder)


def folder_of(name: str) -> str:
    """Name the folder that an xz tarball must hold."""
    return next((name.removesuffix(end) for end in XZ if name.endswith(end)), name)


def problem_of_layout(content: IO[bytes], folder: str) -> str | None:
    """Say what is wrong with a tarball's layout; None when all lies in the folder."""
    seen = False
    try:
        # Unlike tarfile's own reader of xz, this one notices an archive that was cut short.
        with lzma.open(content) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                # A stream never looks back, and the list would grow with the archive.
                archive.members = []  # type: ignore[attr-defined]
                problem = _problem_of_member(member, folder)
                if problem:
                    return problem
                seen = True
            while plain.read(1 << 20):
                pass
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        return f"is no readable xz tarball ({error})"
    return None if seen else "holds nothing"


def _problem_of_member(member: tarfile.TarInfo, folder: str) -> str | None:
    path = member.name.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return "holds files in no folder of their own (./)"
    if path.startswith("/") or ".." in path.split("/"):
        return f"holds {path!r}, which leads out of it"
    if path.partition("/")[0] != folder:
        return f"holds {path!r}, which is not in {folder}/"
    if path == folder and not member.isdir():
        return f"holds {path!r}, which is no folder"
    return None


def open_pieces(read: Callable[[str], Iterator[bytes]]) -> Opener:
    """Make an opener of what yields a file's content piece by piece, such as a store."""

    def open_file(name: str) -> IO[bytes] | None:
        raw: RawIOBase = _Pieces(read(name))
        return BufferedReader(raw)

    return open_file


class _Pieces(RawIOBase):
    """Let pieces of a content be read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

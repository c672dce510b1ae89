"""Whether a compressed tarball is whole: read to its end, to nowhere, before it is for ever."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from crosprov.mirror.model import Fault

_BLOCK = 1 << 20
_ZSTD_FRAME, _ZSTD_SKIPPED = 0xFD2FB528, range(0x184D2A50, 0x184D2A60)  # RFC 8878, 3.1
_ZSTD_RLE = 1  # type of a block that is one byte, repeated


class _Short(Exception):
    """The file ends before its content does."""


class _Damaged(Exception):
    """The file is not what its name says."""


def check_whole(file: Path, name: str) -> None:
    """Raise Fault for a tarball, by its name compressed, that is cut short or damaged.

    What follows a whole content is not looked at, as the programs that unpack it do not either.
    """
    reader = next((read for ends, read in _READERS if name.endswith(ends)), None)
    if reader is None:
        return
    try:
        with file.open("rb") as content:
            reader(content)
    except _Short:
        problem = "it ends before its content does"
    except _Damaged as error:
        problem = f"it is damaged, or not packed as its name says ({error})"
    except OSError as error:
        raise Fault(f"the file cannot be read: {error.strerror}", where=str(file)) from None
    else:
        return
    raise Fault(
        f"{name} was not published: {problem}",
        hint="get or pack the file again; was it still being written, or a download broken off?",
        where=str(file),
    )


def _read_xz(content: IO[bytes]) -> None:
    # Told the format, it knows the zeros that may follow from the beginning of an .lzma file.
    with lzma.open(content, format=lzma.FORMAT_XZ) as plain:
        _drain(plain.read)


def _read_bz2(content: IO[bytes]) -> None:
    with bz2.open(content) as plain:
        _drain(plain.read)


def _read_gzip(content: IO[bytes]) -> None:
    with gzip.open(content) as plain:
        begun = False
        try:
            while plain.read(_BLOCK):
                begun = True
        except gzip.BadGzipFile as error:
            if not (begun and str(error).startswith("Not a gzipped file")):
                raise _Damaged(error) from None
        except EOFError:
            raise _Short from None
        except zlib.error as error:
            raise _Damaged(error) from None


def _drain(read: Callable[[int], bytes]) -> None:
    try:
        while read(_BLOCK):
            pass
    except EOFError:
        raise _Short from None
    except lzma.LZMAError as error:
        raise _Damaged(error) from None
    except OSError as error:
        if error.errno is not None:  # of the disk, not of bz2
            raise
        raise _Damaged(error) from None


def _read_zstd(content: IO[bytes]) -> None:
    """Walk over the blocks of all frames; Python reads none of them before 3.14."""
    begun = False
    while head := content.read(4):
        magic = int.from_bytes(head, "little")
        if magic in _ZSTD_SKIPPED:
            _taken(content, int.from_bytes(_taken(content, 4), "little"))
        elif magic == _ZSTD_FRAME:
            _skip_frame(content)
        elif begun:
            return
        elif len(head) < 4:
            raise _Short
        else:
            raise _Damaged("no zstd frame")
        begun = True


def _skip_frame(content: IO[bytes]) -> None:
    described = _taken(content, 1)[0]
    single, checked = described >> 5 & 1, described >> 2 & 1
    size_of_size = (1 if single else 0, 2, 4, 8)[described >> 6]
    _taken(content, (0 if single else 1) + (0, 1, 2, 4)[described & 3] + size_of_size)
    last = 0
    while not last:
        header = int.from_bytes(_taken(content, 3), "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        _taken(content, 1 if kind == _ZSTD_RLE else size)
    _taken(content, 4 if checked else 0)


def _taken(content: IO[bytes], count: int) -> bytes:
    """Read so many bytes, and give the first of them."""
    first = content.read(min(count, _BLOCK))
    left = count - len(first)
    while left and (piece := content.read(min(left, _BLOCK))):
        left -= len(piece)
    if left:
        raise _Short
    return first


_READERS: tuple[tuple[tuple[str, ...], Callable[[IO[bytes]], None]], ...] = (
    ((".tar.xz", ".txz"), _read_xz),
    ((".tar.gz", ".tgz"), _read_gzip),
    ((".tar.bz2", ".tbz", ".tbz2"), _read_bz2),
    ((".tar.zst", ".tzst"), _read_zstd),
)

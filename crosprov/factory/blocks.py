"""The structure of compressed files and tar archives, walked without unpacking anything."""

from __future__ import annotations

import tarfile
import zlib
from typing import BinaryIO

_CUT = "was cut short: {}"
_BLOCK = 512
_MOST_INDEX = 64 << 20  # bytes; pixz writes some 10 for each 16 MB of the image


class Damaged(Exception):
    """Say what is wrong with a file, as the predicate of a sentence."""


def xz(file: BinaryIO, size: int) -> None:
    """Follow streams of xz from the end: footer, index, and the header where blocks begin.

    The format's own rules: https://tukaani.org/xz/xz-file-format.txt, sections 2 and 4.
    Raises Damaged.
    """
    end = size
    if end % 4:
        raise Damaged(_CUT.format("the size of xz data is a multiple of 4"))
    while end:
        end = _before_padding(file, end)
        end = _before_stream(file, end)


def _before_padding(file: BinaryIO, end: int) -> int:
    """Skip zeros after a stream, four at a time."""
    while end >= 4:
        begin = max(0, end - 65536)
        tail = _at(file, begin, end - begin)
        kept = len(tail.rstrip(b"\0"))
        end = begin + -(-kept // 4) * 4
        if kept:
            return end
    raise Damaged("has nothing but zeros where an xz stream belongs")


def _before_stream(file: BinaryIO, end: int) -> int:
    """Check the stream that ends here; give where it begins."""
    if end < 32:
        raise Damaged(_CUT.format("it is smaller than the smallest xz stream"))
    footer = _at(file, end - 12, 12)
    if footer[10:] != b"YZ" or _crc(footer[4:10]) != footer[:4]:
        raise Damaged(_CUT.format("it has no xz footer at its end"))
    length = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if length > min(end - 24, _MOST_INDEX):
        raise Damaged("is damaged: its xz index is larger than itself")
    index = _at(file, end - 12 - length, length)
    if index[0] or _crc(index[:-4]) != index[-4:]:
        raise Damaged("is damaged: its xz index is not right")
    begin = end - 24 - length - _blocks(index)
    if begin < 0:
        raise Damaged(_CUT.format("its beginning is not there"))
    header = _at(file, begin, 12)
    if header[:6] != b"\xfd7zXZ\x00" or _crc(header[6:8]) != header[8:]:
        raise Damaged("is damaged: what its xz index tells is not there")
    if header[6:8] != footer[8:10]:
        raise Damaged("is damaged: its xz header and footer differ")
    return begin


def _blocks(index: bytes) -> int:
    """Add up the bytes of the blocks that an index lists."""
    count, at = _number(index, 1)
    total = 0
    for _ in range(count):
        unpadded, at = _number(index, at)
        _, at = _number(index, at)
        total += -(-unpadded // 4) * 4
    return total


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of variable length; give it and where the next one is."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(data) - 4:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise Damaged("is damaged: its xz index is not right")


def zstd(file: BinaryIO, size: int) -> None:
    """Step over the blocks of zstd frames, by RFC 8878, section 3.1. Raises Damaged."""
    at = 0
    while at < size:
        magic = int.from_bytes(_at(file, at, 4), "little")
        if 0x184D2A50 <= magic <= 0x184D2A5F:
            at += 8 + int.from_bytes(_at(file, at + 4, 4), "little")
        elif magic == 0xFD2FB528:
            at = _after_frame(file, at + 4)
        else:
            raise Damaged("is damaged: a zstd frame does not begin where one must")
    if at > size:
        raise Damaged(_CUT.format("its last zstd frame has no end"))


def _after_frame(file: BinaryIO, at: int) -> int:
    descriptor = _at(file, at, 1)[0]
    single = descriptor >> 5 & 1
    size_of_size = (single, 2, 4, 8)[descriptor >> 6]
    at += 1 + (not single) + (0, 1, 2, 4)[descriptor & 3] + size_of_size
    last = 0
    while not last:
        block = int.from_bytes(_at(file, at, 3), "little")
        last, kind, length = block & 1, block >> 1 & 3, block >> 3
        if kind == 3:
            raise Damaged("is damaged: a zstd block is of no known kind")
        at += 3 + (1 if kind == 1 else length)
    return at + (descriptor >> 2 & 1) * 4


def bzip2(file: BinaryIO, size: int) -> None:
    """Look for the mark of the end of bzip2's stream, which stands at any bit. Raises Damaged."""
    tail = int.from_bytes(_at(file, max(0, size - 11), min(size, 11)), "big")
    # 48 bits of mark, 32 of checksum, up to 7 that fill the last byte.
    if not any(tail >> 32 + fill & (1 << 48) - 1 == 0x177245385090 for fill in range(8)):
        raise Damaged(_CUT.format("its bzip2 data have no end"))


def plain_tar(file: BinaryIO, size: int) -> None:
    """Step over the members of an image's tar archive to its end. Raises Damaged."""
    at, names = 0, set()
    while (block := _at(file, at, _BLOCK)) != bytes(_BLOCK):
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise Damaged(f"is damaged: there is no tar member at byte {at}") from None
        if member.size < 0:
            raise Damaged(f"is damaged: the tar member at byte {at} has a negative size")
        names.add(member.name)
        held = 0 if member.type in (tarfile.LNKTYPE, tarfile.SYMTYPE) else member.size
        at += _BLOCK - (-held // _BLOCK) * _BLOCK
    if at + 2 * _BLOCK > size:
        raise Damaged(_CUT.format("its tar archive has no end"))
    if not names & {"manifest.json", "repositories", "index.json"}:
        raise Damaged("holds no image: it is a tar archive without manifest.json")


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise Damaged(_CUT.format(f"something is missing from byte {at + len(data)} on"))
    return data


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")

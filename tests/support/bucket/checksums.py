"""CRC32C and MD5 of contents, as the service writes them: in base64.

CRC32C comes from the google_crc32c package where that is installed. On a bare host it is
computed here, 32 bits at a time, at ten to twenty megabytes a second.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected: RFC 3720, appendix B.4
_BLOCK = 1024 * 1024


@cache
def _tables() -> tuple[list[int], list[int]]:
    """Return what 16 bits do to the register: as its last two bytes, and as the two before."""
    last = []
    for value in range(0x10000):
        register = value
        for _ in range(16):
            register = (register >> 1) ^ (_POLYNOMIAL if register & 1 else 0)
        last.append(register)
    before = [last[register & 0xFFFF] ^ (register >> 16) for register in last]
    return last, before


def extend_in_python(crc: int, data: bytes) -> int:
    """Return the CRC32C of what `crc` stands for with `data` after it."""
    last, before = _tables()
    register = crc ^ 0xFFFFFFFF
    whole = len(data) // 4 * 4
    words = memoryview(data)[:whole].cast("I")
    for word in words if sys.byteorder == "little" else _little_endian(data[:whole]):
        register ^= word
        register = before[register & 0xFFFF] ^ last[register >> 16]
    for byte in data[whole:]:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (_POLYNOMIAL if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _little_endian(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def _extend() -> Callable[[int, bytes], int]:
    try:
        from google_crc32c import extend
    except ImportError:
        return extend_in_python
    return lambda crc, data: int(extend(crc, data))


class Sums:
    """Take in bytes and tell their sums; `size` counts them."""

    _extend = staticmethod(_extend())

    def __init__(self) -> None:
        self.size = 0
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self.size += len(data)
        self._crc = self._extend(self._crc, data)
        self._md5.update(data)

    @property
    def crc32c(self) -> str:
        """Return the CRC32C in base64, big endian."""
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """Return the MD5 in base64."""
        return base64.b64encode(self._md5.digest()).decode()


def sums_of_file(path: Path) -> Sums:
    """Return the sums of a file's content."""
    sums = Sums()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sums.update(block)
    return sums

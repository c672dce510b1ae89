"""Files of the controller that go to hosts: their digests, found once while they are the same."""

from __future__ import annotations

import hashlib
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any


def measured(path: str | Path) -> tuple[int, str]:
    """Give size in bytes and sha256 in hex of a file.

    Deploys are drawn several times for each plan, so a file is read again only when its size,
    time or inode has changed. Raises OSError when it cannot be read.
    """
    found = os.stat(path)
    return found.st_size, measured_stretch(path, 0, found.st_size)


def measured_stretch(path: str | Path, offset: int, size: int) -> str:
    """Give the sha256 in hex of a stretch of a file, as `measured` does of all of it.

    Offset and size are in bytes; where the file ends earlier, the digest is of what is there.
    """
    found = os.stat(path)
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return _sha256(str(path), identity, offset, size)


@lru_cache(maxsize=100_000)
def _sha256(path: str, identity: tuple[int, ...], offset: int, size: int) -> str:
    with Stretch(path, offset, size) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Stretch(io.RawIOBase):
    """Read the `size` bytes from `offset` on of a file as if they were a file of their own.

    The file is opened when it is read first: plans are made of many that are never read.
    """

    def __init__(self, path: str | Path, offset: int, size: int) -> None:
        self.path = path
        self.offset = offset
        self.size = size
        self._at = 0
        self._file: io.FileIO | None = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place of it can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a place, in bytes from the start of the stretch."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what comes next; 0 at the end. Raises OSError."""
        if self._file is None:
            self._file = io.FileIO(self.path)
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._at)]
        self._file.seek(self.offset + self._at)
        count = self._file.readinto(view)
        self._at += count
        return count

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

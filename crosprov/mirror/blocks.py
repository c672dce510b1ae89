"""Blocks of memory for contents on their way, and files that grow by them past the page cache.

A mirror's files are not read soon after they are written. Writing them past the page cache saves
the kernel from copying them and from making room for them, which costs more than hashing does
where memory is scarce or lent by a hypervisor.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque

BLOCK = 1 << 20  # bytes; what the second level cache of a processor holds
WORTH = 256 << 10  # bytes from which it is worth to pass the page cache
PAGE = 4096  # bytes; no disk has larger sectors


class Blocks:
    """Lend blocks that begin at a page boundary; safe for threads."""

    def __init__(self) -> None:
        self._free: deque[memoryview] = deque()

    def take(self) -> memoryview:
        """Give a block of BLOCK bytes, whatever is in it."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, BLOCK))

    def give_back(self, block: memoryview) -> None:
        """Let others use a block."""
        self._free.append(block)


class Growing:
    """A file that is appended to; whole pages go past the page cache where that is possible."""

    def __init__(self, number: int, size: int) -> None:
        """Go on at the end of an open file, which has `size` bytes."""
        self.number = number
        self._size = size
        self._passes = False  # what the file is set to
        self._may_pass = True

    def append(self, content: memoryview) -> None:
        """Write all of a content, which lies in a block from its beginning; raises OSError."""
        whole = len(content) & -PAGE if self._size % PAGE == 0 else 0
        whole = whole if whole >= WORTH else 0
        written = 0
        while written < whole and self._may_pass:
            written += self._past_cache(content[written:whole])
        self._pass_cache(False)
        while written < len(content):
            written += self._write(content[written:])

    def finish(self) -> None:
        """Let it last as it is, for everybody to read; raises OSError."""
        os.fchmod(self.number, 0o444)
        os.fsync(self.number)

    def drop(self) -> None:
        """Begin anew."""
        os.ftruncate(self.number, 0)
        self._size = 0

    def _past_cache(self, content: memoryview) -> int:
        """Write some pages; a file system that cannot do it that way is not asked again."""
        try:
            self._pass_cache(True)
            return self._write(content)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            self._may_pass = False
            return 0

    def _write(self, content: memoryview) -> int:
        count = os.pwrite(self.number, content, self._size)
        self._size += count
        return count

    def _pass_cache(self, wanted: bool) -> None:
        if wanted is not self._passes:
            flags = fcntl.fcntl(self.number, fcntl.F_GETFL) & ~os.O_DIRECT
            fcntl.fcntl(self.number, fcntl.F_SETFL, flags | (os.O_DIRECT if wanted else 0))
            self._passes = wanted

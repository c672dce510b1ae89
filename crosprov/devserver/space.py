"""Room on the disk of the builds: asked for before it is used, shared by all who stage."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosprov.devserver.failures import Refused

SPARED = 16 * 1024 * 1024  # bytes left free for logs and for the records of the dev server
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Space:
    """Give out the free bytes of a file system, none of them twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._promised = 0

    def free(self) -> int:
        """Count the bytes that nobody was promised."""
        status = os.statvfs(self._folder)
        return max(status.f_bavail * status.f_frsize - SPARED - self._promised, 0)

    @contextmanager
    def held(self, size: int, what: str) -> Iterator[Held]:
        """Promise bytes for a while; raises Refused(507) when they are not there."""
        held = Held(self, what)
        with self._lock:
            free = self.free()
            if size > free:
                raise self.full(what, size, free)
            self._promised += size
            held.left = size
        try:
            yield held
        except OSError as error:
            if error.errno in FULL:
                raise self.full(what, size, self.free()) from None
            raise
        finally:
            held.spend(held.left)

    def full(self, what: str, size: int, free: int) -> Refused:
        """Word that the disk is full."""
        return Refused(
            507,
            f"{what} needs {size} bytes, but only {free} are free in {self._folder}; "
            "remove builds, or give the dev server a capacity",
        )

    def settle(self, size: int) -> None:
        """Take back a promise: the bytes are written, or not needed any more."""
        with self._lock:
            self._promised -= size


class Held:
    """Bytes of the disk that were promised and are not written yet."""

    def __init__(self, space: Space, what: str) -> None:
        self._space = space
        self.what = what
        self.left = 0

    def spend(self, size: int) -> None:
        """Note that bytes were written: they are no longer free, so no promise covers them."""
        size = min(size, self.left)
        self.left -= size
        self._space.settle(size)

    def more(self, size: int) -> None:
        """Raise Refused(507) when so many bytes beyond the promise are not there."""
        free = self._space.free()
        if size > free:
            raise self._space.full(self.what, size, free)

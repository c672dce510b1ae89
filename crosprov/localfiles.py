"""Files of the controller that go to hosts: their digests, found once while they are the same."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def measured(path: str | Path) -> tuple[int, str]:
    """Give size in bytes and sha256 in hex of a file.

    Deploys are drawn several times for each plan, so a file is read again only when its size,
    time or inode has changed. Raises OSError when it cannot be read.
    """
    found = os.stat(path)
    return found.st_size, _sha256(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=100_000)
def _sha256(path: str, size: int, mtime: int, inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

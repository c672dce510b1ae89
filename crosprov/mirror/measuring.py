"""A content as a Manifest describes it, measured in one pass that notices a change meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crosprov.mirror.hashing import digests_of
from crosprov.mirror.model import Archive, Fault

BLOCK = 1 << 20  # bytes read at a time


def measure(
    blocks: Iterable[bytes], name: str, algorithms: Iterable[str], size: int = 0
) -> Archive:
    """Count and hash a stream of about `size` bytes.

    Raises ValueError for an algorithm that cannot be computed here.
    """
    found = digests_of(blocks, algorithms, size)
    return Archive(name, found.size, found.hashes)


def measure_file(path: Path, algorithms: Iterable[str], name: str | None = None) -> Archive:
    """Measure a file; raises Fault when it cannot be read or changes while it is."""
    size = path.stat().st_size if path.is_file() else 0
    return measure(blocks_of(path), name or path.name, algorithms, size)


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes; raises Fault when it cannot be read or changes meanwhile."""
    try:
        with path.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            while block := file.read(BLOCK):
                yield block
            if _identity(before) != _identity(os.fstat(file.fileno())):
                raise Fault(
                    "the file changed while it was read",
                    hint="let whatever writes it end, then try again",
                    where=str(path),
                )
    except OSError as error:
        raise Fault(f"the file cannot be read: {error.strerror}", where=str(path)) from None


def _identity(stat: os.stat_result) -> tuple[int, int, int]:
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)

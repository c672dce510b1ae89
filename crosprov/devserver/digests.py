"""What a payload's bytes say: size, digests, and the length of its metadata.

Reading a payload takes seconds, so the result is kept beside it: `update.meta` beside
`update.gz`, as the dev servers until 2019 did it, and `<name>.meta` beside others. It counts as
long as the payload has the size, the time of change and the inode that it had.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_CHUNK = 1 << 20
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Digests:
    """Describe a file; digests in hexadecimal, `metadata_size` 0 when it is no payload.

    The metadata of a payload are its header and its manifest, which begin the file: `CrAU`,
    the version of the format (64 bits, big endian), the length of the manifest (64 bits), and
    from version 2 on the length of the metadata's signature (32 bits), which does not count.
    """

    size: int
    sha1: str
    sha256: str
    metadata_size: int


class Digester:
    """Digest files, each only once, however many clients ask at once."""

    def __init__(self, memo: Callable[[Path], Path] | None = None) -> None:
        """Say where the digests of a file are kept; beside it by default."""
        self._memo = memo or beside
        self._guard = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}
        self._known: dict[Path, tuple[Stamp, Digests]] = {}

    def digest(self, path: Path) -> Digests:
        """Return what is known of a file, reading it when it has changed.

        Raises OSError when it cannot be read.
        """
        with self._guard:
            lock = self._locks.setdefault(path, threading.Lock())
        with lock:
            stamp = _stamp(os.stat(path))
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                memo = self._memo(path)
                if digests := _load(memo, stamp):
                    known = (stamp, digests)
                else:
                    known = _compute(path)
                    _keep(memo, *known)
                self._known[path] = known
            return known[1]


def beside(path: Path) -> Path:
    """Return the place beside a payload where its digests are kept."""
    if path.name == "update.gz":
        return path.with_name("update.meta")
    return path.with_name(f"{path.name}.meta")


def metadata_size(head: bytes, size: int) -> int:
    """Return the length of a payload's metadata from its first 24 bytes, 0 when it is none."""
    if len(head) < 24 or head[:4] != b"CrAU":
        return 0
    version, manifest = struct.unpack(">QQ", head[4:20])
    length = {1: 20, 2: 24}.get(version, 0)
    total = length + int(manifest)
    return total if length and total <= size else 0


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _load(memo: Path, stamp: Stamp) -> Digests | None:
    try:
        kept = json.loads(memo.read_text())
        if tuple(kept["stamp"]) != stamp:
            return None
        digests = Digests(
            size=int(kept["size"]),
            sha1=base64.b64decode(kept["sha1"], validate=True).hex(),
            sha256=base64.b64decode(kept["sha256"], validate=True).hex(),
            metadata_size=int(kept["metadata_size"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if digests.size != stamp[0] or not _SHA256.fullmatch(digests.sha256):
        return None
    return digests if _SHA1.fullmatch(digests.sha1) else None


def _compute(path: Path) -> tuple[Stamp, Digests]:
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))
        head, size = b"", 0
        while chunk := file.read(_CHUNK):
            head = head or chunk[:24]
            size += len(chunk)
            sha1.update(chunk)
            sha256.update(chunk)
        changed = _stamp(os.fstat(file.fileno())) != stamp
    if changed or size != stamp[0]:
        raise OSError("it changes while it is read")
    digests = Digests(size, sha1.hexdigest(), sha256.hexdigest(), metadata_size(head, size))
    return stamp, digests


def _keep(target: Path, stamp: Stamp, digests: Digests) -> None:
    """Write the digests down, in base64 as in the files of old dev servers."""
    content = asdict(digests) | {"stamp": list(stamp)}
    for name in ("sha1", "sha256"):
        content[name] = base64.b64encode(bytes.fromhex(content[name])).decode("ascii")
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".meta-")
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError:  # a folder that cannot be written: this process remembers all the same
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)

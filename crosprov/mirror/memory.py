"""What a mirror's state folder remembers to save work: facts that are believed only when whole.

A memory is no truth. One that is lost, damaged, of another crosprov, or that others could have
written, is none, and costs a reading.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

LARGEST = 256 << 20  # bytes; the paths of Gentoo's own tree take 10 MB


def recall(path: Path) -> Mapping[str, Any] | None:
    """Read what was remembered; None when there is nothing to be believed."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with open(os.open(path, flags), "rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            digest, _, content = file.read(LARGEST).partition(b"\n")
    except OSError:
        return None
    if digest.decode(errors="replace") != digest_of(_stamp().encode(), content):
        return None
    facts = json.loads(content)
    return facts if isinstance(facts, dict) else None


def keep(path: Path, facts: Mapping[str, Any]) -> None:
    """Remember facts, all at once and for this account alone; where that fails, they are not.

    What another account remembers there is left alone.
    """
    with suppress(OSError):
        if path.lstat().st_uid != os.geteuid():
            return
    content = json.dumps(facts, separators=(",", ":")).encode()
    temporary = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with suppress(OSError):
        try:
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(f"{digest_of(_stamp().encode(), content)}\n".encode())
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def digest_of(*parts: bytes) -> str:
    """Name a sequence of bytes by 64 hexadecimal digits; where one part ends counts."""
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _is_ours(status: os.stat_result) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o022
    )


@cache
def _stamp() -> str:
    """Name this very program, also one that its author changes without another version."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    try:
        contents = [module.read_bytes() for module in modules]
    except OSError:
        contents = []
    if not contents:  # it does not lie in a folder: nothing tells one from another
        return os.urandom(16).hex()
    return digest_of(sys.version.encode(), *contents)

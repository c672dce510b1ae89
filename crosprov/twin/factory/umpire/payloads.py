"""Payloads: files that Umpire keeps compressed, under a name with the hash of its bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A payload's type, and where a bundle's folder has it.
TYPES = {
    "complete": "complete/*",
    "firmware": "firmware/*",
    "hwid": "hwid/*",
    "netboot_cmdline": "netboot/tftp/chrome-bot/*/cmdline*",
    "netboot_firmware": "netboot/image*.net.bin",
    "netboot_kernel": "netboot/tftp/chrome-bot/*/vmlinu*",
    "project_config": "project_config/*",
    "release_image": "release_image/*",
    "test_image": "test_image/*",
    "toolkit": "toolkit/*",
}

_LEVEL = 1
_PIECE = 1 << 20
_HWID = re.compile(rb"^checksum: *([0-9a-f]+)", re.MULTILINE)
_TOOLKIT = re.compile(rb"^(?:VERSION|label)=\"?([^\"\n]+)", re.MULTILINE)
_LOOKED_AT = 1 << 16

Payloads = dict[str, dict[str, str]]


def add(path: Path, kind: str, resources: Path, temporary: Path) -> Payloads:
    """Keep a file as a payload and return its description; the same file gives the same name.

    Raises ValueError for an unknown type, OSError when the file cannot be read.
    """
    if kind not in TYPES:
        raise ValueError(f"Unsupported payload type: {kind}")
    if not path.is_file():
        raise FileNotFoundError(f"File not found: {path}")
    descriptor, name = tempfile.mkstemp(dir=temporary)
    try:
        digest = _compress(path, descriptor)
        file = f"{kind}.{digest}.gz"
        os.chmod(name, 0o644)
        os.replace(name, resources / file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return {kind: {"file": file, "version": version_of(path, kind)}}


def export(payload: dict[str, str], resources: Path, target: Path) -> None:
    """Write a payload's content to a file."""
    with gzip.open(resources / payload["file"]) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def files_of(payloads: Payloads) -> Iterator[tuple[str, str, str]]:
    """Yield type, part and resource of each file that a description names."""
    for kind, parts in payloads.items():
        for part, resource in parts.items():
            if part == "file" or re.fullmatch(r"part\d+", part):
                yield kind, part, resource


def version_of(path: Path, kind: str) -> str:
    """Return a payload's version: what its text says, or the hash of its bytes."""
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    pattern = {"hwid": _HWID, "toolkit": _TOOLKIT}.get(kind)
    if pattern and (found := pattern.search(start)):
        return found[1].decode(errors="replace").strip()
    return _md5(path)


def _compress(path: Path, descriptor: int) -> str:
    """Write a file compressed, without its name and time; return the hash of what is written."""
    with os.fdopen(descriptor, "w+b") as target:
        packed = gzip.GzipFile("", "wb", _LEVEL, target, mtime=0)
        with packed, path.open("rb") as source:
            shutil.copyfileobj(source, packed, _PIECE)
        target.seek(0)
        return hashlib.file_digest(target, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

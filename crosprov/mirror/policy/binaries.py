"""Binaries among a tree's files: by their first bytes, by NUL, or written as text."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.encoded import encoded_in

LARGEST = 4 << 20  # bytes of a file that are looked at
SMALL = 1 << 16  # bytes that are read first; NUL stands there in any true binary

# What programs write at the beginning of the files that they make.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "ELF"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"LZIP", "lzip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a", "RAR"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"%PDF-", "PDF"),
    (b"!<arch>\n", "ar"),
    (b"\xca\xfe\xba\xbe", "Java class"),
    (b"\xfe\xed\xfa", "Mach-O"),
    (b"\xcf\xfa\xed\xfe", "Mach-O"),
    (b"\xed\xab\xee\xdb", "RPM"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"\x00asm", "WebAssembly"),
    (b"OTTO\x00", "font"),
    (b"\x00\x01\x00\x00\x00", "font"),
    (b"wOF", "font"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
)
_SKIPPED = frozenset({".git", "md5-cache", ".svn", ".hg", "CVS"})
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\v\x1b\b")) + b"\x7f"
_BYTE_ORDER = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def find_binaries(root: Path) -> Iterator[Finding]:
    """Look at every file that the tree's history holds, or that lies in it if it has none."""
    for path in committed_files(root):
        content = _read(f"{os.fspath(root)}/{path}")
        if not content:
            continue
        kind = binary_kind(content)
        if kind:
            yield rules.BINARY.at(Place(path), path, kind=kind)
        elif path.rpartition("/")[2] != "Manifest":
            blob = encoded_in(content)
            if blob:
                yield rules.ENCODED_BINARY.at(Place(path, blob.line), path, kind=blob.kind)


def binary_kind(content: bytes) -> str | None:
    """Say what kind of binary a content is; None when it is text."""
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if content[:2] == b"MZ" and b"\x00" in content[:64]:
        return "Windows program"
    if content[:4] == b"RIFF" and content[8:12] in (b"WAVE", b"WEBP", b"AVI "):
        return "sound or image"
    if _is_wide_text(content):
        return None
    if b"\x00" in content:
        return "it holds NUL"
    if len(content.translate(None, _CONTROL)) < len(content) * 0.97 and not _is_text(content):
        return "it is no text"
    return None


def _is_wide_text(content: bytes) -> bool:
    """Tell whether it is text in UTF-16, in which NUL is usual."""
    encoding = _BYTE_ORDER.get(content[:2])
    if encoding is None:
        return False
    try:
        text = content[2 : 2 + SMALL - SMALL % 2].decode(encoding)
    except UnicodeDecodeError:
        return False
    return sum(c.isprintable() or c.isspace() for c in text) >= len(text) * 0.97


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def committed_files(root: Path) -> Iterator[str]:
    """Yield the paths of a tree's files: those that git holds, else all but hidden folders."""
    listed = _listed_by_git(root)
    if listed is not None:
        yield from (path for path in listed if not _SKIPPED.intersection(path.split("/")))
        return
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if name not in _SKIPPED)
        below = os.path.relpath(folder, root)
        for name in sorted(files):
            yield name if below == "." else f"{below}/{name}"


def _listed_by_git(root: Path) -> list[str] | None:
    """List what is in git's index below the folder; None when it is no checkout."""
    try:
        listing = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", root, "ls-files", "-z", "--cached"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    paths = listing.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    return paths or None


def _read(path: str) -> bytes:
    """Read what decides about a file; links and what cannot be read count as empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        head = file.read(SMALL)
        return head if b"\x00" in head else head + file.read(LARGEST - SMALL)

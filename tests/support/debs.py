"""Debian package files for tests, written without any tool of Debian."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": bytes,
}  # fmt: skip


def deb(
    path: Path, name: str, version: str, architecture: str = "amd64", packing: str = ".xz"
) -> Path:
    """Write a package file that says what it is and holds nothing."""
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Description: x\n Version: of the description\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    members = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{packing}", PACKERS[packing](_tar("./control", control.encode()))),
        ("data.tar.xz", lzma.compress(_tar("./usr/share/doc/x", b"x"))),
    ]
    path.write_bytes(b"!<arch>\n" + b"".join(_member(*member) for member in members))
    return path


def _tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)

"""Tar archives whose bytes depend on their content alone: no times, no owners, no order."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

_MODE = 0o755


def of_files(
    files: Mapping[str, bytes],
    *,
    mode: int,
    directories: Mapping[str, int] | None = None,
    links: Mapping[str, str] | None = None,
) -> bytes:
    """Return an archive of files with one mode, of directories with theirs, and of links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, directory_mode in sorted((directories or {}).items()):
            tar.addfile(_member(path, tarfile.DIRTYPE, directory_mode))
        for path, data in sorted(files.items()):
            member = _member(path, tarfile.REGTYPE, mode)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for path, to in sorted((links or {}).items()):
            member = _member(path, tarfile.SYMTYPE, 0o777)
            member.linkname = to
            tar.addfile(member)
    return buffer.getvalue()


def of_tree(root: Path) -> bytes:
    """Return an archive of a folder's directories, files and links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                member = _member(name, tarfile.SYMTYPE, 0o777)
                member.linkname = os.readlink(path)
                tar.addfile(member)
            elif path.is_dir():
                tar.addfile(_member(name, tarfile.DIRTYPE, _MODE))
            elif path.is_file():
                member = _member(name, tarfile.REGTYPE, path.stat().st_mode & 0o777)
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(member, file)
    return buffer.getvalue()


def member_of(name: str, data: bytes) -> bytes:
    """Return one file as it stands in an archive, without the archive's end."""
    member = _member(name, tarfile.REGTYPE, 0o644)
    member.size = len(data)
    padding = -len(data) % tarfile.BLOCKSIZE
    return member.tobuf(tarfile.USTAR_FORMAT) + data + bytes(padding)


def _member(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type = kind
    member.mode = mode
    return member

"""A folder as a tar stream that depends on nothing but what the folder holds.

Sorted by name; owner and group are 0 and have no names; one time for all; modes as git keeps
them (0755 for folders and for what its owner may run, 0644 else), so that neither an umask nor
a set-user-id bit gets in; a hard link is a copy, since a clone of the folder may have none.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crosprov.mirror.model import Fault

# What version control keeps beside the files, by the names that `tar --exclude-vcs` knows too.
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", "CVS", "_darcs", "RCS", "SCCS"})


@dataclass(frozen=True, slots=True)
class Member:
    """Name a file, folder or symbolic link: its path inside the archive, and on the disk."""

    name: str
    path: Path
    stat: os.stat_result

    @property
    def is_file(self) -> bool:
        """Tell whether it has content."""
        return stat.S_ISREG(self.stat.st_mode)

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder, and no link to one."""
        return stat.S_ISDIR(self.stat.st_mode)


@dataclass(frozen=True, slots=True)
class Listing:
    """Hold what goes into an archive, in order, and the paths that are left out of it."""

    members: tuple[Member, ...]
    left_out: tuple[str, ...]


def list_folder(folder: Path, top: str) -> Listing:
    """List a folder's content below the name `top`; folders of version control are left out.

    Raises Fault for what no archive can hold, and for what cannot be read.
    """
    left_out: list[str] = []
    members = tuple(_walk(folder, top, left_out))
    return Listing(members, tuple(left_out))


def write_tar(listing: Listing, out: IO[bytes], when: int) -> None:
    """Write an uncompressed tar (GNU's format) with the time `when`, in seconds, in each header.

    Raises Fault when a file cannot be read or changes meanwhile.
    """
    with tarfile.open(
        fileobj=out,
        mode="w|",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
        bufsize=1 << 20,
    ) as archive:
        for member in listing.members:
            header = _header(member, when)
            if member.is_file:
                _add_file(archive, header, member)
            else:
                archive.addfile(header)


def _walk(path: Path, name: str, left_out: list[str]) -> Iterator[Member]:
    try:
        found = path.lstat()
        _check_kind(path, found)
        yield Member(name, path, found)
        inner = sorted(os.listdir(path), key=os.fsencode) if stat.S_ISDIR(found.st_mode) else []
    except OSError as error:
        raise Fault(f"it cannot be read: {error.strerror}", where=str(path)) from None
    for one in inner:
        if one in VERSION_CONTROL:
            left_out.append(f"{name}/{one}")
        else:
            yield from _walk(path / one, f"{name}/{one}", left_out)


def _check_kind(path: Path, found: os.stat_result) -> None:
    kinds = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}
    if stat.S_IFMT(found.st_mode) not in kinds:
        raise Fault(
            "it is neither a file, a folder nor a symbolic link",
            hint="an archive of sources holds no sockets, pipes or devices: remove it",
            where=str(path),
        )


def _header(member: Member, when: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(member.name)
    header.mtime = when
    mode = member.stat.st_mode
    if stat.S_ISDIR(mode):
        header.type, header.mode = tarfile.DIRTYPE, 0o755
    elif stat.S_ISLNK(mode):
        header.type, header.mode = tarfile.SYMTYPE, 0o777
        header.linkname = os.readlink(member.path)
    else:
        header.mode = 0o755 if mode & stat.S_IXUSR else 0o644
        header.size = member.stat.st_size
    return header


def _add_file(archive: tarfile.TarFile, header: tarfile.TarInfo, member: Member) -> None:
    try:
        file = member.path.open("rb")
    except OSError as error:
        raise Fault(f"it cannot be read: {error.strerror}", where=str(member.path)) from None
    with file:
        _check_same(member, os.fstat(file.fileno()))
        try:
            archive.addfile(header, file)
        except OSError:  # shorter than its header says; an error of the output looks the same
            _check_same(member, os.fstat(file.fileno()))
            raise
        _check_same(member, os.fstat(file.fileno()))


def _check_same(member: Member, now: os.stat_result) -> None:
    """Raise Fault when a file is not what it was when the folder was listed."""
    before = member.stat
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (
        now.st_ino,
        now.st_size,
        now.st_mtime_ns,
    ):
        raise Fault(
            "it changed while it was packed",
            hint="let whatever writes there end, then pack again",
            where=str(member.path),
        )

"""Paths that are looked at: what there is, and a sentence where that may not be known."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from crosprov.mirror.model import Fault

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


def is_folder(path: str | Path) -> bool:
    """Tell whether a path leads to a folder; raises Fault where that may not be seen."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: str | Path) -> bool:
    """Tell whether a path leads to a regular file; raises Fault where that may not be seen."""
    return stat.S_ISREG(_mode(path))


def unreadable(what: str, path: str | Path, error: OSError) -> Fault:
    """Word why something cannot be read, with what would let it be."""
    hint = None
    if isinstance(error, PermissionError):
        hint = f"the account {account()} must be let read it, and pass the folders above it"
    return Fault(f"{what} cannot be read: {error.strerror}", hint=hint, where=str(path))


def account() -> str:
    """Name the account that this process runs as, by its number where it has no name."""
    return _name(os.geteuid())


def owner(path: Path) -> str:
    """Name the account that owns a path, or the nearest folder above it that there is."""
    while True:
        try:
            return _name(path.stat().st_uid)
        except OSError:
            if path == path.parent:
                return "root"
            path = path.parent


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _mode(path: str | Path) -> int:
    try:
        return os.stat(path).st_mode
    except OSError as error:
        if error.errno in _NOTHING:
            return 0
        raise unreadable("the folder", Path(path).parent, error) from None

"""Who may not read or write what the tests make: another account, or a mode that keeps all out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STRANGER = 65534


@contextmanager
def stranger() -> Iterator[None]:
    """Act as an account that owns nothing, where this is root; others are kept out by modes."""
    if os.geteuid():
        yield
        return
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that every account reaches, for a block."""
    folder = Path(tempfile.mkdtemp(prefix="crosprov-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)

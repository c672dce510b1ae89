"""The folder of one running dev server for what is not whole yet."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from crosprov.devserver.layout import Layout


class Session:
    """Hold a folder below `.incoming`, and sweep those of servers that were killed.

    A folder belongs to a running server as long as its lock file is locked, which ends with
    the process however that ends. So a server that is just leaving keeps its own.
    """

    def __init__(self, layout: Layout, recover: Callable[[Path], None]) -> None:
        """Make the folder; `recover` is called with each folder that is about to be swept."""
        layout.incoming.mkdir(parents=True, exist_ok=True)
        with open(layout.incoming / "lock", "a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)  # so that nobody sweeps a folder before it is locked
            _sweep(layout.incoming, recover)
            self.folder = Path(tempfile.mkdtemp(prefix="server-", dir=layout.incoming))
            self._lock = open(self.folder / "lock", "w")  # noqa: SIM115 - held until close
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._numbers = itertools.count(1)

    def scratch(self) -> Path:
        """Name a file or folder of one's own that does not exist yet."""
        return self.folder / str(next(self._numbers))

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _sweep(incoming: Path, recover: Callable[[Path], None]) -> None:
    for path in incoming.iterdir():
        if path.name != "lock" and not _is_held(path / "lock"):
            recover(path)
            _remove(path)


def _is_held(lock: Path) -> bool:
    try:
        with open(lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)

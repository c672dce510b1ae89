"""One sync at a time: a lock on the folder where a mirror's files arrive, and its tidying."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crosprov.mirror.folder import SENT, Folder
from crosprov.mirror.model import Fault
from crosprov.mirror.part import ENDING
from crosprov.mirror.stores import Store

LOCK = "lock"
_DAY = 86_400.0  # seconds


class Busy(Fault):
    """Another sync of the same mirror is under way."""


def incoming_of(store: Store, state: Path) -> Path:
    """Make the folder where files arrive: beside the mirror's, so that a link can publish them.

    Raises Fault.
    """
    if isinstance(store, Folder):
        return store.make_incoming()
    folder = state / "incoming"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"the folder cannot be made: {error.strerror}", where=str(folder)) from None
    return folder


@contextmanager
def held(folder: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder in a block, which ends with the process however that ends.

    With `wait` whoever has it is waited for; otherwise that raises Busy.
    """
    try:
        number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fault(f"the folder cannot be written: {error.strerror}", where=str(folder)) from None
    with open(number, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            who = lock.read(20).strip()
            process = f", process {who}" if who.isdigit() else ""
            raise Busy(
                f"another sync of {what} is under way{process}",
                hint="wait for it, or let --wait do that; what it has fetched by then is not "
                "fetched again",
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def tidy(folder: Path, wanted: Collection[str]) -> frozenset[str]:
    """Remove parts that nobody waits for any more, and copies of publishers that were killed.

    Gives the names of the parts that stay.
    """
    begun = set()
    for path in folder.iterdir():
        if path.is_dir() and ".rsync" not in path.name:
            continue  # nothing of ours
        if path.name.endswith(ENDING) and path.name in wanted:
            begun.add(path.name)
        elif path.name.endswith(ENDING):
            path.unlink(missing_ok=True)
        elif ".rsync" in path.name:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        elif path.name.startswith(SENT) and _is_old(path):
            path.unlink(missing_ok=True)
        elif path.name.startswith("copy-") and not _is_alive(path.name.split("-")[1]):
            path.unlink(missing_ok=True)
    return frozenset(begun)


def _is_old(path: Path) -> bool:
    with suppress(FileNotFoundError):  # its publisher was faster
        return path.stat().st_mtime < time.time() - _DAY
    return False


def _is_alive(process: str) -> bool:
    return process.isdigit() and Path("/proc", process).exists()

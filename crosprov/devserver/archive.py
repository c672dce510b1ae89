"""Looking around where builds are kept: the folders there, and small files that name builds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from crosprov.devserver.failures import Refused
from crosprov.devserver.stores import Interrupted, Store

LARGEST = 4096  # bytes of a file that names a build
ATTEMPTS = 3

Answer = TypeVar("Answer")


class StoreArchive:
    """Ask the stores; what may pass is tried again."""

    def __init__(self, stores: Callable[[str], Store]) -> None:
        self._stores = stores

    def names(self, folder: str) -> Iterable[str]:
        """List what lies in a folder: files, and folders where the store tells them apart."""
        store = self._stores(folder)
        folders: Callable[[], tuple[str, ...]] = getattr(store, "folders", tuple)
        files = _patiently(store.list)
        return {*_patiently(folders), *(entry.name for entry in files)}

    def text(self, folder: str, name: str) -> str | None:
        """Read a small file, None when there is none."""
        store = self._stores(folder)

        def read() -> bytes | None:
            entry = store.find(name)
            if entry is None:
                return None
            if entry.size is not None and entry.size > LARGEST:
                raise Refused(502, f"{folder}/{name} is too large to name a build")
            data = bytearray()
            store.read(entry, data.extend)
            return bytes(data)

        data = _patiently(read)
        return None if data is None else data.decode("utf-8", "replace")


def _patiently(ask: Callable[[], Answer]) -> Answer:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except Interrupted as interrupted:
            if attempt == ATTEMPTS:
                raise Refused(interrupted.status, interrupted.sentence) from None
    raise Refused(502, "the archive does not answer")

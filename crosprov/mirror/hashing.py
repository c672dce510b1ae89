"""Several digests of one stream at once, and the proof that a stream is what was promised."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from crosprov.mirror.digests import Hasher, computable, hasher
from crosprov.mirror.model import Archive

LARGE = 8 << 20  # bytes from which a thread for each algorithm is worth its start


@dataclass(frozen=True, slots=True)
class Sum:
    """What a stream turned out to be: its length, and digests by algorithm."""

    size: int
    hashes: Mapping[str, str] = field(hash=False)

    def difference(self, archive: Archive) -> str | None:
        """Say in what this is not the archive, with both digests; None when it is the archive.

        Every hash of the archive that can be computed is compared.
        """
        if self.size != archive.size:
            return (
                f"{self.size} bytes ({_shown(self.hashes)}) instead of "
                f"{archive.size} bytes ({_shown(archive.hashes)})"
            )
        for algorithm, wanted in computable(archive.hashes).items():
            found = self.hashes.get(algorithm)
            if found != wanted:
                return f"{algorithm} {found} instead of {wanted}"
        return None


def _shown(hashes: Mapping[str, str]) -> str:
    """Choose the digest that is shown where there is room for one."""
    chosen = computable(hashes) or hashes
    return " ".join(sorted(chosen.items())[0]) if chosen else "no digest"


class Digests:
    """Digest a stream with several algorithms; hashlib lets go of the interpreter meanwhile.

    The pieces of a large stream are digested while the next one is fetched: a piece stays as it
    is until the next but one call. `needs` is how many pieces are in hand by that, 1 or 2.
    """

    def __init__(self, algorithms: Iterable[str], size: int) -> None:
        """Begin; `size` is about how many bytes will come."""
        self._hashers = {algorithm: hasher(algorithm) for algorithm in sorted(algorithms)}
        self._lanes: list[_Lane] = []
        if size >= LARGE and len(self._hashers) > 1:
            self._lanes = [_Lane(one) for one in self._hashers.values()]
        self.needs = 2 if self._lanes else 1

    def update(self, piece: bytes | memoryview) -> None:
        """Take more bytes in; the piece before is digested when this returns."""
        if self._lanes:
            for lane in self._lanes:
                lane.wait()
            for lane in self._lanes:
                lane.put(piece)
        else:
            for one in self._hashers.values():
                one.update(piece)

    def digests(self) -> dict[str, str]:
        """End, and give the digests by algorithm, in lower-case hexadecimal digits."""
        self.close()
        return {algorithm: one.hexdigest() for algorithm, one in self._hashers.items()}

    def close(self) -> None:
        """End the threads, when they are done with what they have."""
        for lane in self._lanes:
            lane.end()
        self._lanes = []


class _Lane:
    """A thread that feeds one algorithm."""

    def __init__(self, one: Hasher) -> None:
        self._one = one
        self._pieces: queue.Queue[bytes | memoryview | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)
        self._thread.start()

    def put(self, piece: bytes | memoryview) -> None:
        self._pieces.put(piece)

    def wait(self) -> None:
        self._pieces.join()

    def end(self) -> None:
        self._pieces.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._one.update(piece)
            self._pieces.task_done()


@contextmanager
def digesting(algorithms: Iterable[str], size: int) -> Iterator[Digests]:
    """Digest within a block; its threads end with it, however it ends."""
    digests = Digests(algorithms, size)
    try:
        yield digests
    finally:
        digests.close()


def digests_of(pieces: Iterable[bytes], algorithms: Iterable[str], size: int) -> Sum:
    """Read a stream to its end, and sum it up."""
    length = 0
    with digesting(algorithms, size) as digests:
        for piece in pieces:
            length += len(piece)
            digests.update(piece)
        return Sum(length, digests.digests())

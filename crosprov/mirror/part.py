"""A file on its way to a mirror: what of it is there, and whether it is what it should be."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from crosprov.mirror.digests import computable, strong
from crosprov.mirror.folder import fault_of
from crosprov.mirror.hashing import Digests, Sum
from crosprov.mirror.ledger import line_of
from crosprov.mirror.limits import Bandwidth
from crosprov.mirror.model import Archive
from crosprov.mirror.stores import PIECE

ENDING = ".part"


class Reason(StrEnum):
    """Why an upstream did not give a file."""

    LACKS = "lacks"  # it says that it has no such file
    UNREACHABLE = "unreachable"  # no answer, or one that broke off
    REFUSED = "refused"  # an answer that says no
    CORRUPT = "corrupt"  # another content than the Manifest's


class Broken(Exception):
    """An attempt failed; with `passing`, the next one at the same place may not.

    `pause` is what the upstream asks to wait for, in seconds.
    """

    def __init__(
        self, reason: Reason, sentence: str, *, passing: bool = False, pause: float = 0.0
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.passing = passing
        self.pause = pause


class Part:
    """Take a file in, digest it meanwhile, and refuse what it cannot be.

    It is named after its content, so that what one sync began another one goes on with: what
    is there is digested again, and the whole has to prove itself. Within a `with` block.
    """

    def __init__(
        self,
        folder: Path,
        archive: Archive,
        bandwidth: Bandwidth,
        moved: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.archive = archive
        self.path = folder / part_name(archive)
        self.done = 0
        self.resumed = False  # whether some of it came with an earlier answer
        self.tag: tuple[str, str] | None = None  # an address, and its strong ETag for this content
        self.proven: Mapping[str, str] = {}  # its hashes, once it is proven
        self.bandwidth = bandwidth
        self._moved = moved
        self._algorithms = computable(archive.hashes)

    def __enter__(self) -> Part:
        """Open it; raises Fault."""
        try:
            self._forget_links()
            self._file = opened(self.path)
            self._digests = self._begin()
            self._take_up()
        except OSError as error:
            raise fault_of(str(self.path.parent), self.archive.name, "written", error) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; what is there stays for another attempt."""
        self._digests.close()
        self._file.close()

    @property
    def is_provable(self) -> bool:
        """Tell whether the end will show if parts of different files were joined."""
        return bool(strong(self.archive.hashes))

    @property
    def is_whole(self) -> bool:
        """Tell whether all bytes are there."""
        return self.done == self.archive.size

    def take(self, piece: bytes) -> None:
        """Append bytes; raises Broken when there are too many, Fault when there is no space."""
        if self.done + len(piece) > self.archive.size:
            raise Broken(Reason.CORRUPT, f"it is longer than {self.archive.size} bytes")
        try:
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise fault_of(str(self.path.parent), self.archive.name, "written", error) from None
        self._digests.update(piece)
        self.done += len(piece)
        self._moved(len(piece))

    def restart(self) -> None:
        """Drop what is there."""
        if self.done:
            self._moved(-self.done)
        self._digests.close()
        self._digests = self._begin()
        self._file.seek(0)
        self._file.truncate()
        self.done, self.resumed, self.tag = 0, False, None

    def prove(self) -> None:
        """Compare all of it with the archive; raises Broken, and nothing is kept then."""
        if self.done < self.archive.size:
            raise Broken(
                Reason.CORRUPT,
                f"it ends after {self.done} of {self.archive.size} bytes",
                passing=True,
            )
        found = Sum(self.done, self._digests.digests())
        difference = found.difference(self.archive)
        if difference:
            was_joined = self.resumed
            self.restart()
            raise Broken(Reason.CORRUPT, f"its content has {difference}", passing=was_joined)
        self.proven = found.hashes

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)

    def _begin(self) -> Digests:
        return Digests(self._algorithms, self.archive.size)

    def _forget_links(self) -> None:
        """Let go of a name for a file that is published: a kill may leave one."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        if status.st_nlink > 1:
            self.path.unlink()
        else:
            self.path.chmod(0o600)

    def _take_up(self) -> None:
        """Digest what an earlier sync left; more than the whole cannot be a part of it."""
        size = os.fstat(self._file.fileno()).st_size
        if not size:
            return
        if size > self.archive.size:
            self._file.truncate(0)
            return
        while piece := self._file.read(PIECE):
            self._digests.update(piece)
            self.done += len(piece)
        self.resumed = True
        self._moved(self.done)


def opened(path: Path) -> io.FileIO:
    """Open a part to read and write, not through a link."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return io.FileIO(number, "r+")


def part_name(archive: Archive) -> str:
    """Name the file in which an archive is on its way."""
    text = f"{archive.name}\0{archive.size}\0{line_of(archive.hashes)}"
    return f"{blake2b(text.encode(), digest_size=20).hexdigest()}{ENDING}"

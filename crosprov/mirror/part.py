"""A file on its way to a mirror: what of it is there, and whether it is what it should be."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from crosprov.mirror.blocks import BLOCK, PAGE, Blocks, Growing
from crosprov.mirror.digests import computable, strong
from crosprov.mirror.folder import fault_of
from crosprov.mirror.hashing import Digests, Sum
from crosprov.mirror.ledger import line_of
from crosprov.mirror.limits import Bandwidth
from crosprov.mirror.model import Archive, Fault

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
    is there is digested again, and the whole has to prove itself. Bytes gather in a block of
    memory, so that a file that fits into one is not written before it is proven. Within a
    `with` block.
    """

    def __init__(
        self,
        folder: Path,
        archive: Archive,
        begun: Collection[str],
        bandwidth: Bandwidth,
        moved: Callable[[int], object] = lambda count: None,
        blocks: Blocks | None = None,
    ) -> None:
        """Describe it; `begun` names the parts that are in the folder."""
        name = part_name(archive)
        self.archive = archive
        self.path = folder / name
        self.done = 0
        self.resumed = False  # whether some of it came with an earlier answer
        self.tag: tuple[str, str] | None = None  # an address, and its strong ETag for this content
        self.proven: Mapping[str, str] = {}  # its hashes, once it is proven
        self.bandwidth = bandwidth
        self._moved = moved
        self._blocks = blocks or Blocks()
        self._algorithms = computable(archive.hashes)
        self._may_be_begun = name in begun
        self._file: Growing | None = None  # from the first full block on
        self._filled = 0  # bytes of the first of the blocks in hand

    def __enter__(self) -> Part:
        """Take up what is there of it; raises Fault and Stopped."""
        self._digests = self._begin()
        self._in_hand = [self._blocks.take() for _ in range(self._digests.needs)]
        try:
            if self._may_be_begun and self._is_begun():
                self._take_up()
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError):
                raise self._fault(error) from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it; what is written of it stays for another attempt."""
        if self._file is not None and not self.proven:
            with suppress(OSError):
                self._file.append(self._in_hand[0][: self._filled])
        self._leave()

    @property
    def is_provable(self) -> bool:
        """Tell whether the end will show if parts of different files were joined."""
        return bool(strong(self.archive.hashes))

    @property
    def is_whole(self) -> bool:
        """Tell whether all bytes are there."""
        return self.done == self.archive.size

    def room(self) -> memoryview:
        """Give the place for the next bytes, of one byte at least."""
        return self._in_hand[0][self._filled :]

    def took(self, count: int) -> None:
        """Count bytes that were put there; raises Broken when they are too many, and Fault."""
        if self.done + count > self.archive.size:
            raise Broken(Reason.CORRUPT, f"it is longer than {self.archive.size} bytes")
        self._filled += count
        self.done += count
        self._moved(count)
        if self._filled == BLOCK:
            self._digest()
            self._write()

    def take(self, piece: bytes) -> None:
        """Append bytes; raises as `took` does."""
        view = memoryview(piece)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.took(count)
            view = view[count:]

    def restart(self) -> None:
        """Drop what is there; raises Fault."""
        if self.done:
            self._moved(-self.done)
            self._digests.close()
            self._digests = self._begin()
        if self._file is not None:
            try:
                self._file.drop()
            except OSError as error:
                raise self._fault(error) from None
        self._filled = 0
        self.done, self.resumed, self.tag = 0, False, None

    def prove(self) -> None:
        """Compare all of it with the archive, and write what is not written yet, so that it lasts.

        Raises Broken, and nothing is kept then, and Fault.
        """
        if self.done < self.archive.size:
            raise Broken(
                Reason.CORRUPT,
                f"it ends after {self.done} of {self.archive.size} bytes",
                passing=True,
            )
        self._digest()
        found = Sum(self.done, self._digests.digests())
        difference = found.difference(self.archive)
        if difference:
            was_joined = self.resumed
            self.restart()
            raise Broken(Reason.CORRUPT, f"its content has {difference}", passing=was_joined)
        self._write(is_last=True)
        self.proven = found.hashes

    def discard(self) -> None:
        """Remove it."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def _begin(self) -> Digests:
        return Digests(self._algorithms, self.archive.size)

    def _digest(self) -> None:
        """Have the block digested, which may go on until the next one is."""
        if self._filled:
            self._digests.update(self._in_hand[0][: self._filled])

    def _write(self, *, is_last: bool = False) -> None:
        """Write the block, and go on with another one."""
        try:
            if self._file is None:
                self._file = Growing(_opened(self.path, os.O_CREAT | os.O_EXCL), 0)
            self._file.append(self._in_hand[0][: self._filled])
            if is_last:
                self._file.finish()
        except OSError as error:
            self._filled = 0  # what is written of it must not be followed by all of it
            raise self._fault(error) from None
        self._in_hand.append(self._in_hand.pop(0))
        self._filled = 0

    def _is_begun(self) -> bool:
        """Tell whether there is something of it, and let go of a published file's other name."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return False
        if status.st_nlink > 1:  # a kill may leave one
            os.unlink(self.path)
            return False
        os.chmod(self.path, 0o600)
        return True

    def _take_up(self) -> None:
        """Digest what an earlier sync left; more than the whole cannot be a part of it.

        A part goes on at a page boundary, as files do that grow past the page cache.
        """
        number = _opened(self.path)
        self._file = Growing(number, 0)
        size = os.fstat(number).st_size
        if size > self.archive.size:
            size = 0
        elif size < self.archive.size:
            size &= -PAGE
        os.ftruncate(number, size)
        self._file = Growing(number, size)
        while self.done < size:
            self.bandwidth.check()
            block = self._in_hand[0][: size - self.done]
            count = os.preadv(number, [block], self.done)
            if not count:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self._digests.update(block[:count])
            self._in_hand.append(self._in_hand.pop(0))
            self.done += count
            self._moved(count)
        self.resumed = self.done > 0

    def _leave(self) -> None:
        self._digests.close()
        for block in self._in_hand:
            self._blocks.give_back(block)
        self._in_hand = []
        if self._file is not None:
            os.close(self._file.number)
            self._file = None

    def _fault(self, error: OSError) -> Fault:
        return fault_of(str(self.path.parent), self.archive.name, "written", error)


def _opened(path: Path, how: int = 0) -> int:
    """Open a part to read and write, not through a link."""
    return os.open(path, how | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def part_name(archive: Archive) -> str:
    """Name the file in which an archive is on its way."""
    text = f"{archive.name}\0{archive.size}\0{line_of(archive.hashes)}"
    return f"{blake2b(text.encode(), digest_size=20).hexdigest()}{ENDING}"

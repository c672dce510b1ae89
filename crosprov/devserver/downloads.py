"""Downloading one file of a source: in several attempts, checked, within the free space."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import google_crc32c

from crosprov.devserver.failures import Refused
from crosprov.devserver.space import Held, Space
from crosprov.devserver.stores import PIECE, Entry, Interrupted, Store

ENOUGH = 8 * 1024 * 1024  # bytes that make an attempt count as progress


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things are waited for, in seconds.

    `foreground` and `background`: for artifacts that are not at the source yet, as genuine dev
    servers do. `pauses`: before each further attempt that follows one without progress.
    """

    foreground: float = 1.0
    background: float = 10.0
    pauses: tuple[float, ...] = (0.5, 2.0, 5.0)


class Digest(Protocol):
    """A running digest, of hashlib or google_crc32c."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""
        ...

    def digest(self) -> bytes:
        """Give the digest so far."""
        ...


class Download:
    """One file on its way: `done` of `total` bytes (None when nobody knows)."""

    def __init__(self, store: Store, entry: Entry, path: Path) -> None:
        self.name = entry.name
        self.path = path
        self.total = entry.size
        self.done = 0
        self._store = store
        self._entry = entry
        self._mismatches = 0
        self._digest = _digest(entry)

    def carry_out(self, space: Space, patience: Patience, stop: threading.Event) -> None:
        """Download the file to its path and check it; raises Refused, and leaves nothing then."""
        if self._entry.size is None and self._digest is None:
            raise Refused(
                502,
                f"{self._what} cannot be staged: its server tells neither its size nor a digest, "
                "so a part of it could not be told from the whole",
            )
        try:
            with space.held(self._entry.size or 0, self._what) as held:
                with open(self.path, "wb", buffering=PIECE) as file:
                    self._attempts(file, held, patience, stop)
                    file.flush()
                    os.fdatasync(file.fileno())
                    os.fchmod(file.fileno(), 0o644)
                if self._entry.is_gzipped:
                    self._unpack(held)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise

    @property
    def _what(self) -> str:
        return f"{self._store.source}/{self.name}"

    def _attempts(
        self, file: BinaryIO, held: Held, patience: Patience, stop: threading.Event
    ) -> None:
        """Read until the file is whole; each attempt goes on where the last one ended."""

        def write(piece: bytes) -> None:
            if stop.is_set():
                raise stopping()
            self._write(piece, file, held)

        pauses = list(patience.pauses)
        while True:
            begun_at = self.done
            try:
                if not self.done or self.done != self.total:
                    self._store.read(self._entry, write, self.done)
                self._check(file)
                return
            except Interrupted as failure:
                has_progress = self.done - begun_at >= ENOUGH
                if not has_progress and not pauses:
                    attempts = f"gave up after {len(patience.pauses) + 1} attempts"
                    raise Refused(failure.status, f"{failure.sentence}; {attempts}") from None
                stop.wait(patience.pauses[0] if has_progress else pauses.pop(0))

    def _write(self, piece: bytes, file: BinaryIO, held: Held) -> None:
        if self.total is not None and self.done + len(piece) > self.total:
            raise Refused(502, f"{self._what} is longer than the {self.total} bytes it should have")
        if self.total is None:
            held.more(len(piece))
        file.write(piece)
        if self._digest is not None:
            self._digest.update(piece)
        self.done += len(piece)
        held.spend(len(piece))

    def _check(self, file: BinaryIO) -> None:
        """Raise Interrupted when the file is not what the store described."""
        if self.total is not None and self.done < self.total:
            raise Interrupted(502, f"{self._what} ended after {self.done} of {self.total} bytes")
        wanted = self._entry.crc32c or self._entry.md5
        if self._digest is None or wanted is None:
            return
        found = base64.b64encode(self._digest.digest()).decode()
        if found == wanted:
            return
        kind = "crc32c" if self._entry.crc32c else "MD5"
        sentence = f"{self._what} is damaged: its {kind} is {found} and should be {wanted}"
        self._mismatches += 1
        if self._mismatches > 1:
            raise Refused(502, sentence)  # not an accident of the way
        file.seek(0)
        file.truncate()
        self.done, self._digest = 0, _digest(self._entry)
        raise Interrupted(502, sentence)

    def _unpack(self, held: Held) -> None:
        """Undo the compression in which the store keeps the file."""
        packed = self.path.with_name(f"{self.path.name}.gz")
        os.rename(self.path, packed)
        try:
            with gzip.open(packed, "rb") as source, open(self.path, "wb") as file:
                while piece := source.read(PIECE):
                    held.more(len(piece))
                    file.write(piece)
                file.flush()
                os.fdatasync(file.fileno())
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise Refused(502, f"{self._what} is stored as gzip and is none") from None
        finally:
            packed.unlink()


def stopping() -> Refused:
    """Word that the dev server is about to end."""
    return Refused(503, "the dev server is stopping; stage again when it runs")


def _digest(entry: Entry) -> Digest | None:
    if entry.crc32c is not None:
        make: Any = google_crc32c.Checksum
        made: Digest = make()
        return made
    return None if entry.md5 is None else hashlib.md5(usedforsecurity=False)

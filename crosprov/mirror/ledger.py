"""The ledger of a mirror: which file was proven to have which content, and when.

It is a memory and no truth: a proof counts as long as the store gives the file the mark that it
had then. A lost or damaged ledger costs a reading of all files, and nothing else.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from crosprov.mirror.model import Fault

_VERSION = 1
_EVERY = 1.0  # seconds between two commits: what a kill makes the next sync read again
_TABLE = """
CREATE TABLE IF NOT EXISTS proofs (
    name TEXT PRIMARY KEY, mark TEXT NOT NULL, size INTEGER NOT NULL,
    hashes TEXT NOT NULL, proven REAL NOT NULL
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO proofs VALUES (?, ?, ?, ?, ?)"
_ALL = "SELECT name, mark, size, hashes, proven FROM proofs"


class Proof(NamedTuple):
    """Say that a file had this content.

    `mark` is the store's for it then, empty when the file was found to have another content
    since, or was published and not read again yet; `hashes` is written as in a Manifest,
    `proven` are seconds since 1970.
    """

    name: str
    mark: str
    size: int
    hashes: str
    proven: float

    def by_algorithm(self) -> dict[str, str]:
        """Give the hashes by algorithm."""
        words = self.hashes.split(" ")
        return dict(zip(words[::2], words[1::2], strict=True)) if self.hashes else {}


def line_of(hashes: Mapping[str, str]) -> str:
    """Write hashes as the ledger keeps them."""
    return " ".join(f"{algorithm} {hashes[algorithm]}" for algorithm in sorted(hashes))


class Ledger:
    """A ledger in a file; safe for threads, and for a kill at any time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open it, or begin one; a damaged one is set aside. Raises Fault.

        With `read_only` nothing is written anywhere, and what is missing is empty.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._lock = threading.Lock()
        self._committed = time.monotonic()
        self._noted: dict[str, Proof] = {}  # since the last commit
        self._base = self._open_to_read() if read_only else self._open_or_begin()

    def proofs(self) -> Iterator[Proof]:
        """Go through all proofs, in order of their names."""
        with self._worded():
            self._put()
            rows = self._base.execute(f"{_ALL} ORDER BY name")
        while True:
            with self._worded():
                some = rows.fetchmany(1000)
            if not some:
                return
            yield from map(Proof._make, some)

    def find(self, name: str) -> Proof | None:
        """Look up one file."""
        with self._worded():
            if name in self._noted:
                return self._noted[name]
            row = self._base.execute(f"{_ALL} WHERE name = ?", (name,)).fetchone()
        return None if row is None else Proof._make(row)

    def note(self, proof: Proof) -> None:
        """Write down a proof; it is kept from the next commit on, a second later at most."""
        with self._worded():
            self._noted[proof.name] = proof
            if time.monotonic() - self._committed >= _EVERY:
                self._commit()

    def doubt(self, name: str) -> None:
        """Write down that a file does not have the content any more that was proven."""
        with self._worded():
            self._put()
            self._base.execute("UPDATE proofs SET mark = '' WHERE name = ?", (name,))

    def close(self) -> None:
        """Commit and close."""
        with self._lock:
            try:
                self._commit()
            except sqlite3.Error as error:
                raise self._fault(error) from None
            finally:
                self._base.close()

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """Have the ledger alone in a block; raises Fault for what SQLite cannot do."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise self._fault(error) from None

    def _put(self) -> None:
        """Hand what was noted to the file."""
        self._base.executemany(_PUT, self._noted.values())
        self._noted.clear()

    def _commit(self) -> None:
        self._put()
        self._base.commit()
        self._committed = time.monotonic()

    def _open_to_read(self) -> sqlite3.Connection:
        try:
            base = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True)
            base.execute(f"{_ALL} LIMIT 1").fetchone()
        except sqlite3.Error:
            base = sqlite3.connect(":memory:")
            base.execute(_TABLE)
        return base

    def _open_or_begin(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError as error:
            raise self._fault(error) from None
        except sqlite3.DatabaseError:
            self._put_aside()
        try:
            return self._open()
        except sqlite3.Error as error:
            raise self._fault(error) from None

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=30.0, check_same_thread=False)
        try:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise Fault(
                    f"a newer crosprov wrote this ledger (version {version})",
                    hint="use that one, or remove the file: all files are then read once",
                    where=str(self.path),
                )
            base.execute(_TABLE)
            base.execute(f"PRAGMA user_version = {_VERSION}")
            base.execute("SELECT count(*) FROM proofs WHERE name = ''").fetchone()
            base.commit()
        except BaseException:
            base.close()
            raise
        return base

    def _put_aside(self) -> None:
        target = self.path.with_name(f"{self.path.name}.damaged")
        with suppress(FileNotFoundError):
            os.replace(self.path, target)
        self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        self.set_aside = target

    def _fault(self, error: sqlite3.Error) -> Fault:
        hint = None
        if not isinstance(error, sqlite3.OperationalError):
            hint = "remove the file: all files of the mirror are then read once"
        return Fault(f"the ledger cannot be used: {error}", hint=hint, where=str(self.path))

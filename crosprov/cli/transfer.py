"""How far a transfer is, on stderr: one line that changes, on a terminal; else a line at times."""

from __future__ import annotations

import sys
import time

from crosprov.mirror.report import size_of

_LIVE, _AT_TIMES = 0.2, 5.0  # seconds between what is shown
_CLEAR = "\r\x1b[K"


class Transfer:
    """Show how far something is, within a `with` block that ends with the line gone."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._every = _LIVE if self._live else _AT_TIMES
        self._next = time.monotonic() + self._every

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def moved(self, done: int, total: int | None) -> None:
        """Tell of the bytes that were moved, and of all where their number is known."""
        self.did("", done, total)

    def did(self, what: str, done: int, total: int | None) -> None:
        """Tell the same of something that is done with bytes, as "read"."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        text = size_of(done) if total is None else f"{size_of(done)} of {size_of(total)}"
        text = f"{what} {text}" if what else text
        self._write(text if self._live else f"{text}\n")

    def say(self, text: str) -> None:
        """Say something in a line of its own."""
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"{_CLEAR}{text}" if self._live else text)
        sys.stderr.flush()

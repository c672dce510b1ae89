"""How far a sync is, for who watches: a line that is drawn anew on a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from crosprov.mirror.events import Event, Events, Failed, Listed, Progress, Sourcing
from crosprov.mirror.findings import several
from crosprov.mirror.report import age_of, brief, size_of

_OFTEN = 0.2  # seconds between two drawings on a terminal
_SELDOM = 30.0  # seconds between two lines elsewhere
_TOLD = 1.0  # seconds between two words to who else wants to know
_WIDTH = 24  # of the bar
Tell = Callable[[str], object]


def word(progress: Progress) -> str:
    """Word how far it is: files, bytes, rate, time that is left."""
    if progress.ebuilds:
        return f"{progress.ebuilds_done} of {several(progress.ebuilds, 'ebuild')} sourced"
    if not progress.files:
        return "nothing to do"
    percent = 100 * progress.done // progress.total if progress.total else 100
    parts = [
        f"{min(max(percent, 0), 100)} % of {size_of(progress.total)}",
        f"{progress.files_done - progress.failed} of {several(progress.files, 'file')}",
    ]
    if progress.rate:
        parts.append(f"{size_of(progress.rate)}/s")
    left = progress.seconds_left
    if left is not None and progress.files_done < progress.files:
        parts.append(f"{age_of(left)} left")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)


@contextmanager
def display(stream: TextIO, tell: Tell | None = None) -> Iterator[Events]:
    """Give the function that shows events until the end of the block.

    `tell` is given the same words about once a second.
    """
    view = _View(stream, tell)
    try:
        yield view
    finally:
        view.end()


@dataclass(slots=True)
class _View:
    """Show events on a stream; they come one at a time, from any thread."""

    stream: TextIO
    tell: Tell | None
    progress: Progress = field(default_factory=Progress)
    _live: bool = False
    _drawn: float = 0.0
    _told: float = 0.0

    def __post_init__(self) -> None:
        self._live = self.stream.isatty()
        self._drawn = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Take an event in, and show it when it is time to."""
        self.progress(event)
        now = time.monotonic()
        if isinstance(event, Failed):
            self._say(brief(event.failure))  # the report follows, with all digits
        if isinstance(event, Listed) and not self._live:
            self._say(_task(event))
        if isinstance(event, Sourcing) and not self._live and not event.done:
            self._say(f"{several(event.count, 'ebuild')} to source")
        if now - self._drawn >= (_OFTEN if self._live else _SELDOM):
            self._drawn = now
            self._draw()
        if self.tell is not None and now - self._told >= _TOLD:
            self._told = now
            self.tell(word(self.progress))

    def end(self) -> None:
        """Leave the stream at the beginning of a line."""
        if self._live:
            self._clear()
        if self.tell is not None:
            self.tell("")

    def _draw(self) -> None:
        text = word(self.progress)
        if not self._live:
            self._say(text)
            return
        filled = round(_WIDTH * self.progress.share)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(f"\r\x1b[K{f'[{bar}] {text}'[:width]}")
        self.stream.flush()

    def _say(self, text: str) -> None:
        if self._live:
            self._clear()
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def _clear(self) -> None:
        self.stream.write("\r\x1b[K")
        self.stream.flush()


def _task(event: Listed) -> str:
    parts = []
    if event.fetch:
        files = several(event.fetch, "file")
        parts.append(f"{files} to fetch ({size_of(event.fetch_bytes)})")
    if event.check:
        parts.append(f"{event.check} to read and prove ({size_of(event.check_bytes)})")
    return ", ".join(parts) or "nothing to do"

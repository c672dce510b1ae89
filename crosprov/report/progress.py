"""Show how a run goes on: a live display on a terminal, plain lines elsewhere.

Both write to the stream that is not for results (stderr), and both are told events only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from crosprov.execution import events as happened
from crosprov.execution.events import Emit, Event
from crosprov.report.style import count, duration, seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


_QUIET: dict[type[Event], float] = {
    happened.ChangeProgress: 2.0,
    happened.Rebooting: 15.0,
}  # seconds
_ANEW: dict[type[Event], type[Event]] = {
    happened.ChangeStarted: happened.ChangeProgress,
    happened.Rebooted: happened.Rebooting,
}  # what is no longer too soon after another event


@contextmanager
def progress(stream: TextIO, hosts: int, title: str, *, quiet: bool = False) -> Iterator[Emit]:
    """Give the function that shows events until the end of the block."""
    if quiet:
        yield lambda event: None
    elif stream.isatty():
        with _live(stream, hosts, title) as emit:
            yield emit
    else:
        yield PlainLines(stream)


def word(event: Event) -> str | None:
    """Word an event in one line; None for one that is no news."""
    match event:
        case happened.ChangeStarted():
            change = event.change
            return f"{event.number}/{event.total} {change.action.value} {change.resource}"
        case happened.ChangeProgress():
            return f"{event.change.action.value} {event.change.resource}: {event.text}"
        case happened.Rebooting():
            return _rebooting(event)
        case happened.Rebooted():
            return f"back after {duration(event.after)}"
        case happened.Held():
            return f"waits, because {event.by} is at work on it"
        case happened.Waiting():
            return f"waiting until it is ready: {event.probe}"
        case happened.Sending():
            return f"sending {event.path} ({event.size / 1e6:.1f} MB)"
        case happened.Failed():
            return f"failed: {event.error.message}"
        case happened.Blocked():
            return f"left untouched, because it needs {event.by}"
        case happened.Verified():
            left = count(len(event.left), "change")
            return f"verified: {left} left" if event.left else "verified: nothing left to do"
        case happened.Finished():
            return None if event.outcome is happened.Outcome.UNCHANGED else event.outcome.value
    return None


def _rebooting(event: happened.Rebooting) -> str:
    within = seconds(event.within)
    if event.passed < 1:
        return f"reboots, and is waited for, {within} at most"
    return f"reboots: waiting for {seconds(event.passed)} of {within}"


class PlainLines:
    """Write a line per event that is news, with the seconds since the start.

    What a host says of one change, or of its reboot, is written every `_QUIET` seconds at most.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.started = clock()
        self.lock = threading.Lock()
        self.last: dict[str, str] = {}
        self.spoke: dict[tuple[str, type[Event]], float] = {}

    def __call__(self, event: Event) -> None:
        """Write the event's line, once even when it repeats."""
        text = word(event)
        with self.lock:
            if text is None or self.last.get(event.host) == text or self._too_soon(event):
                return
            self.last[event.host] = text
            passed = self.clock() - self.started
            first = text.split("\n")[0]
            self.stream.write(f"[{duration(passed):>7}] {event.host}: {first}\n")
            self.stream.flush()

    def _too_soon(self, event: Event) -> bool:
        """Tell whether the host spoke of the same a moment ago."""
        kind = type(event)
        if kind in _ANEW:
            self.spoke.pop((event.host, _ANEW[kind]), None)
        if kind not in _QUIET:
            return False
        now, before = self.clock(), self.spoke.get((event.host, kind))
        if before is not None and now - before < _QUIET[kind]:
            return True
        self.spoke[event.host, kind] = now
        return False


@contextmanager
def _live(stream: TextIO, hosts: int, title: str) -> Iterator[Emit]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[now]}", markup=False),
    )  # fmt: skip
    console = Console(file=stream)
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as bars:
        yield _Bars(bars, bars.add_task(title, total=hosts, now=""))


class _Bars:
    """One bar for the hosts, one for each host with changes under way."""

    def __init__(self, bars: Progress, overall: TaskID) -> None:
        self.bars = bars
        self.overall = overall
        self.hosts: dict[str, TaskID] = {}
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self.lock:
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case happened.Planned() | happened.Finished():
                self.bars.advance(self.overall)
                if event.host in self.hosts:
                    self.bars.remove_task(self.hosts.pop(event.host))
            case happened.Failed():
                self.bars.console.print(f"{event.host}: {word(event)}", markup=False, style="red")
            case happened.ChangeStarted():
                now = f"{event.change.action.value} {event.change.resource}"
                self._host(event.host, total=event.total, completed=event.number - 1, now=now)
            case (
                happened.ChangeProgress() | happened.Rebooting() | happened.Rebooted()
                | happened.Waiting() | happened.Sending() | happened.Held()
            ):  # fmt: skip
                self._host(event.host, now=word(event) or "")

    def _host(self, name: str, *, now: str, **values: int) -> None:
        if name not in self.hosts:
            self.hosts[name] = self.bars.add_task(f"  {name}", total=values.get("total", 1), now="")
        self.bars.update(
            self.hosts[name], now=now, completed=values.get("completed"), total=values.get("total")
        )

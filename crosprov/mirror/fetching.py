"""One file from several upstreams in turn: how often each is tried, and when it is left alone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from crosprov.mirror.limits import Slots, Stopped
from crosprov.mirror.part import Broken, Part, Reason
from crosprov.mirror.upstreams import Upstream

ENOUGH = 8 << 20  # bytes that make a try count as progress, so that it does not count as a try
_IN_A_ROW = 10  # files that an upstream could not give before it is left alone
_MANY = 10  # files that an upstream lacked, and gave none, that make its address doubtful


class Attempt(NamedTuple):
    """Say what became of asking an upstream for a file."""

    source: str
    reason: Reason
    sentence: str


class Unfetched(Exception):
    """No upstream gave the file."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        super().__init__("; ".join(f"{one.source}: {one.sentence}" for one in attempts))
        self.attempts = tuple(attempts)

    @property
    def reason(self) -> Reason | None:
        """Choose what matters most; None when there was nobody to ask.

        An upstream lacks a file for sure only when no other one might have it.
        """
        said = {one.reason for one in self.attempts}
        order = (Reason.CORRUPT, Reason.UNREACHABLE, Reason.REFUSED, Reason.LACKS)
        return next((reason for reason in order if reason in said), None)


class Fetcher:
    """Fetch files; safe for threads."""

    def __init__(self, slots: Slots, pauses: tuple[float, ...], stop: threading.Event) -> None:
        self._slots = slots
        self._pauses = pauses
        self._stop = stop
        self._lock = threading.Lock()
        self._silent: dict[str, int] = {}  # files in a row that a host did not answer for
        self._gave: Counter[str] = Counter()
        self._lacked: Counter[str] = Counter()

    def fetch(self, part: Part, upstreams: Iterable[Upstream]) -> str:
        """Bring a part to its whole, proven, and name where it came from.

        Raises Unfetched, Stopped, and Fault where nothing can be written.
        """
        attempts: list[Attempt] = []
        if part.is_whole and self._is_proven(part):
            return "an earlier sync"
        for upstream in upstreams:
            broken = self._from(part, upstream)
            if broken is None:
                return upstream.name
            attempts.append(Attempt(upstream.name, broken.reason, broken.sentence))
        raise Unfetched(attempts)

    def _from(self, part: Part, upstream: Upstream) -> Broken | None:
        """Try one upstream; give the last failure when none of its tries succeeds."""
        if self._silent.get(upstream.host, 0) >= _IN_A_ROW:
            sentence = f"it is left alone: it did not answer for {_IN_A_ROW} files in a row"
            return Broken(Reason.UNREACHABLE, sentence)
        pauses = list(self._pauses)
        while True:
            begun_at = part.done
            try:
                with self._slots.held(upstream.host, self._stop):
                    upstream.fetch(part)
                part.prove()
                self._note(upstream, None)
                return None
            except Broken as broken:
                self._check_stop()
                moved_on = part.done - begun_at >= ENOUGH
                if not broken.passing or not (moved_on or pauses):
                    self._note(upstream, broken)
                    return broken
                pause = self._pauses[0] if moved_on and self._pauses else 0.0
                self._stop.wait(max(broken.pause, pause if moved_on else pauses.pop(0)))
            self._check_stop()

    def useless(self) -> Iterator[str]:
        """Word which upstreams had nothing of what they were asked for."""
        for name, count in sorted(self._lacked.items()):
            if count >= _MANY and not self._gave[name]:
                yield (
                    f"{name} has none of the {count} files that it was asked for: is it the "
                    "right address?"
                )

    def _note(self, upstream: Upstream, broken: Broken | None) -> None:
        answered = broken is None or broken.reason is not Reason.UNREACHABLE
        with self._lock:
            before = self._silent.get(upstream.host, 0)
            self._silent[upstream.host] = 0 if answered else before + 1
            self._gave[upstream.name] += broken is None
            self._lacked[upstream.name] += broken is not None and broken.reason is Reason.LACKS

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped

    @staticmethod
    def _is_proven(part: Part) -> bool:
        try:
            part.prove()
        except Broken:
            return False
        return True

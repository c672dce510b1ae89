"""How much is asked of upstreams at once: bytes per second in all, requests to each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """The sync is to end."""


class Bandwidth:
    """Let so many bytes per second pass, over all who share it; 0 is no limit."""

    def __init__(
        self,
        rate: int,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self._stop = stop
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()
        self._whole = Slots(1)

    def take(self, count: int) -> None:
        """Wait until these bytes may pass; raises Stopped."""
        if self.rate:
            with self._lock:
                now = self._clock()
                wait = max(0.0, self._free_at - now)
                self._free_at = max(self._free_at, now) + count / self.rate
            if wait:
                self._stop.wait(wait)
        self.check()

    def check(self) -> None:
        """Go on, unless the sync is to end; raises Stopped."""
        if self._stop.is_set():
            raise Stopped

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Hold all of the rate in a block, for a program that keeps to it; raises Stopped.

        What the program brought has to be taken afterwards, so that others make room for it.
        """
        if not self.rate:
            yield
            return
        with self._whole.held("", self._stop):
            yield

    def piece(self, most: int) -> int:
        """Choose how many bytes to read at once, so that a low limit is felt evenly."""
        return max(1024, min(most, self.rate // 4)) if self.rate else most


class Slots:
    """Let at most so many requests go to one host at a time."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._slots: dict[str, threading.Semaphore] = {}

    @contextmanager
    def held(self, host: str, stop: threading.Event) -> Iterator[None]:
        """Hold one of the host's slots in a block; raises Stopped while it waits."""
        with self._lock:
            slots = self._slots.setdefault(host, threading.Semaphore(self._each))
        while not slots.acquire(timeout=0.5):
            if stop.is_set():
                raise Stopped
        try:
            yield
        finally:
            slots.release()

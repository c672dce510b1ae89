"""Keep one connection per host for the time of a run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from crosprov.transport.base import SshTarget, Transport

Connect = Callable[[SshTarget], Transport]


class Fleet:
    """Connect to hosts when they are first needed, and close everything at the end."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._open: dict[str, Transport] = {}
        self._spent: Counter[str] = Counter()
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def transport(self, target: SshTarget) -> Transport:
        """Give the connection to a host; raises HostError when it cannot be made."""
        with self._lock:
            known = self._open.get(target.name)
        if known is not None:
            return known
        made = self._connect(target)
        with self._lock:
            self._open[target.name] = made
        if self._closed.is_set():  # the run was ended while this connection was being made
            made.close()
        return made

    def drop(self, name: str) -> None:
        """Close the connection to a host, if there is one; the next use makes another."""
        with self._lock:
            dropped = self._open.pop(name, None)
            if dropped is not None:
                self._spent[name] += dropped.round_trips
        if dropped is not None:
            dropped.close()

    def round_trips(self, name: str) -> int:
        """Count the commands that were sent to a host, over dropped connections too."""
        with self._lock:
            now = self._open.get(name)
            return self._spent[name] + (now.round_trips if now is not None else 0)

    def close(self) -> None:
        """Close all connections; what runs on a host ends at its next change."""
        self._closed.set()
        with self._lock:
            transports = list(self._open.values())
            self._spent.update({name: t.round_trips for name, t in self._open.items()})
            self._open.clear()
        for transport in transports:
            transport.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

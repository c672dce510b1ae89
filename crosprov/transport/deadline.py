"""One time limit over several blocking calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Deadline:
    """Call `expire` from another thread when the limit passes before the block ends.

    Closing a connection is the one thing that ends every kind of waiting on it, a send
    into a full socket included; so `expire` closes, and the caller asks `expired` why
    its call failed. `seconds` is counted from the construction, `grace` comes on top
    of it for a caller that keeps the limit by itself wherever it can.
    """

    def __init__(self, seconds: float, expire: Callable[[], None], *, grace: float = 0.0) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = time.monotonic() + seconds
        self._expire = expire
        self._timer = threading.Timer(seconds + grace, self._fire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def remaining(self) -> float:
        """Return the seconds left, 0 when none are."""
        return max(0.0, self._end - time.monotonic())

    def _fire(self) -> None:
        self.expired = True
        self._expire()

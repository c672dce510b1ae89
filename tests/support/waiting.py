"""Wait for what comes to pass by itself, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], *, within: float = 60, every: float = 0.02) -> None:
    """Wait until a condition holds, in seconds; raises TimeoutError when it never does."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come to pass within {within:g} s")
        time.sleep(every)

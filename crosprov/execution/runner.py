"""Run a function for many hosts at once.

A narrow seam: what decides where hosts are worked on knows nothing of plans or transports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

T = TypeVar("T")


class Runner(Protocol):
    """Call `work` for each name, a name only when those that it needs are done."""

    def run(self, needs: Mapping[str, Sequence[str]], work: Callable[[str], T]) -> dict[str, T]: ...


class ThreadRunner:
    """Work on hosts in threads, a bounded number at a time."""

    def __init__(self, parallel: int) -> None:
        self.parallel = max(1, parallel)

    def run(self, needs: Mapping[str, Sequence[str]], work: Callable[[str], T]) -> dict[str, T]:
        """Give the result for each name, in the order of `needs`.

        Names that need each other are never begun; the inventory has refused them before.
        An exception of `work` ends the run after the others under way are done.
        """
        results: dict[str, T] = {}
        waiting = {name: {n for n in need if n in needs} for name, need in needs.items()}
        under_way: dict[Future[T], str] = {}
        # Daemon threads would be cut in a write; a stuck one is freed by closing its connection.
        threading.stack_size(512 * 1024)
        with ThreadPoolExecutor(min(self.parallel, max(1, len(needs)))) as pool:
            while waiting or under_way:
                ready = [name for name, need in waiting.items() if need <= results.keys()]
                for name in ready:
                    del waiting[name]
                    under_way[pool.submit(work, name)] = name
                if not under_way:
                    break
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    results[under_way.pop(future)] = future.result()
        return {name: results[name] for name in needs if name in results}

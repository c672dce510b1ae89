"""A few threads that carry out tasks one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Task = Callable[[], None]


class Crew:
    """Run tasks in at most `size` threads, in the order in which they were given.

    The threads are daemons: a process that ends does not wait for a silent peer. What they
    leave half done is never counted, and is swept at the next start.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def give(self, task: Task) -> None:
        """Queue a task; it handles its own exceptions."""
        self._tasks.put(task)
        with self._lock:
            if len(self._threads) < self._size:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self, within: float) -> None:
        """Let the threads end after the tasks given so far; wait for them `within` seconds."""
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._tasks.put(None)
        for thread in threads:
            thread.join(within / len(threads))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

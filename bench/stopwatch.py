"""Run one command and write what it cost, as JSON: `stopwatch.py RESULT LOG 0|1 COMMAND…`.

A small process of its own: the peak memory of a child counts from the memory of its parent at
the fork. With 1 the memory of the whole process tree is sampled, too, which costs time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator

_INTERVAL = 0.05  # seconds


def main(result: str, log: str, sample: str, *command: str) -> int:
    """Run the command with its outputs in the log."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\n".encode())
            os._exit(127)
    sampler = _Sampler(pid)
    if sample == "1":
        sampler.start()
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - began
    sampler.stop.set()
    measured = {
        "status": os.waitstatus_to_exitcode(status),
        "wall": took,
        "cpu": usage.ru_utime + usage.ru_stime,
        "largest": usage.ru_maxrss / 1024,
        "tree": sampler.most / 1024,
    }
    with open(result, "w") as file:
        json.dump(measured, file)
    return 0


class _Sampler(threading.Thread):
    """Add up the memory of a process and all below it; shared pages count once."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.most = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(_INTERVAL):
            self.most = max(self.most, sum(map(_proportional, _below(self.root))))


def _below(pid: int) -> Iterator[int]:
    yield pid
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
    except OSError:
        return
    for child in children:
        yield from _below(int(child))


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

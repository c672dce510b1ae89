"""Run a command as a whole process and say what it cost."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_STOPWATCH = Path(__file__).with_name("stopwatch.py")


class BenchError(Exception):
    """The benchmark cannot go on; says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with the directory and the environment that it runs in."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost: seconds, seconds of user and system, MB.

    `largest` is the peak of the largest process, `tree` the peak of all together (0 when it
    was not sampled).
    """

    wall: float
    cpu: float
    largest: float
    tree: float
    output: str


@dataclass(frozen=True, slots=True)
class Series:
    """Several numbers of one kind."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Series:
        """Keep the numbers."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """Return the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.values[0]:.2f}"
        return f"{self.median:.2f} ({min(self.values):.2f}–{max(self.values):.2f})"


def run(command: Command, log: Path, *, memory: bool = False) -> Sample:
    """Run a command to its end; raises BenchError with its last lines when it fails.

    The outputs are kept in the log. Python's programs may keep their bytecode, as those do that
    are installed.
    """
    result = log.with_suffix(".json")
    python = (sys.executable, "-I", "-S", str(_STOPWATCH))
    done = subprocess.run(
        (*python, str(result), str(log), str(int(memory)), *command.argv),
        cwd=command.cwd,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""} | dict(command.env),
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise BenchError(f"the stopwatch ended with status {done.returncode}")
    cost = json.loads(result.read_text())
    output = log.read_text(errors="replace")
    if status := cost.pop("status"):
        end = "\n".join(output.splitlines()[-15:])
        raise BenchError(f"{' '.join(command.argv)} ended with status {status}:\n{end}")
    return Sample(**cost, output=output)

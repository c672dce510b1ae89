"""Ebuilds whose metadata is not in the cache: sourced by pkgcore, in a process that may die.

Sourcing runs the tree's own shell code, so it happens apart: nothing to read from, an
environment that holds nothing of this one, a folder for its home that goes away again, and a
time limit for each ebuild, after which the process and all that it started are ended.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

from crosprov.mirror.metadata import Metadata, Stale

DEATHS = 5  # starts that came to nothing, one after the other, until no more are made
START = 30.0  # seconds more for the first answer, in which pkgcore is loaded


@dataclass(frozen=True, slots=True)
class Wanted:
    """Name an ebuild to source."""

    category: str
    package: str
    version: str


class Sourced(NamedTuple):
    """Hold what an ebuild says, and the names of all eclasses that its word depends on."""

    metadata: Metadata
    inherited: tuple[str, ...]


def program() -> str | None:
    """Name the file of pkgcore that every installation writes anew; None without pkgcore."""
    found = find_spec("pkgcore")
    return found.origin if found else None


def source_ebuilds(
    folders: Sequence[Path], wanted: Sequence[Wanted], *, limit: float = 60.0
) -> Iterator[Metadata | Stale]:
    """Source ebuilds as `source` does, where it does not matter what they inherit."""
    for answer in source(folders, wanted, limit=limit):
        yield answer.metadata if isinstance(answer, Sourced) else answer


def source(
    folders: Sequence[Path], wanted: Sequence[Wanted], *, limit: float = 60.0
) -> Iterator[Sourced | Stale]:
    """Source ebuilds of the first folder with the eclasses of all; one answer each, in order.

    `limit` is in seconds for one ebuild. Whatever fails is an answer that says why.
    """
    if program() is None:
        yield from (Stale("pkgcore, which could read it, is not installed") for _ in wanted)
        return
    at = deaths = 0
    while at < len(wanted) and deaths < DEATHS:
        begun = at
        for answer in _round(folders, wanted[at:], limit):
            at += 1
            yield answer
        deaths = deaths + 1 if at == begun + 1 and isinstance(answer, Stale) else 0
    for _ in wanted[at:]:
        yield Stale("pkgcore ended again and again while others were sourced")


def _round(
    folders: Sequence[Path], wanted: Sequence[Wanted], limit: float
) -> Iterator[Sourced | Stale]:
    """Source until all is done or the process has to be ended; at least one answer comes."""
    with tempfile.TemporaryDirectory(prefix="crosprov-sourcing-") as home:
        request = Path(home, "request.json")
        request.write_text(
            json.dumps(
                {
                    "folders": [str(folder.resolve()) for folder in folders],
                    "ebuilds": [(w.category, w.package, w.version) for w in wanted],
                }
            ),
            encoding="utf-8",
        )
        child = _start(request, home)
        try:
            yield from _answers(child, len(wanted), limit)
        finally:
            _end(child)


def _start(request: Path, home: str) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "crosprov.mirror.sourcer", str(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=home,
        env={"PATH": os.defpath, **kept, "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8"}
        | {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )


def _answers(child: subprocess.Popen[bytes], count: int, limit: float) -> Iterator[Sourced | Stale]:
    assert child.stdout is not None
    lines = _Lines(child.stdout)
    for number in range(count):
        line = lines.next(limit + (START if number == 0 else 0.0))
        if line is None:
            yield Stale(f"sourcing it took longer than {limit:g} s")
            return
        if not line:
            yield Stale("pkgcore ended while it was sourced")
            return
        yield _read_answer(line)


def _read_answer(line: bytes) -> Sourced | Stale:
    answer = json.loads(line)
    if "failure" in answer:
        return Stale(f"sourcing it failed: {answer['failure']}")
    metadata = Metadata(answer["eapi"], answer["src_uri"], answer["restrict"])
    return Sourced(metadata, tuple(answer["inherited"]))


class _Lines:
    """Take lines from a pipe, each within a time limit."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe.fileno()
        self._rest = b""

    def next(self, seconds: float) -> bytes | None:
        """Give a line; empty when there are no more, None when the time is over."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                part = os.read(self._pipe, 1 << 16)
                if not part:
                    return b""
                self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the process with everything of its session, and wait for it.

    The shells of pkgcore are process groups of their own, so the session is what holds all.
    The process itself stays unburied until then, so that nobody else can get its number.
    """
    if child.stdout is not None:
        child.stdout.close()
    child.kill()
    for _ in range(10):
        found = _session(child.pid)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not found:
            break
    child.wait()


def _session(leader: int) -> list[int]:
    """List the processes of a session, but its leader; those that ended count no more."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != leader:
            try:
                stat = Path("/proc", name, "stat").read_text(errors="replace")
            except OSError:
                continue
            state, _, _, session = stat.rpartition(")")[2].split()[:4]
            if session == str(leader) and state not in "ZX":
                found.append(int(name))
    return found

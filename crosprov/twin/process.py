"""A process that outlives the program which started it, and is found again without mistake.

The process writes down its own pid and start time, together with the machine's boot, before
it becomes the real program: whoever started it may die at any moment. A pid that belongs to
another process by now is recognised by its start time.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin.programs import environment

# $1 is where to write; then the program. Standard input is a pipe that ends when the program
# is entered or the shell has failed: by then the record is there, or will never be.
_SHIM = """\
record=$1; shift
{ cat /proc/sys/kernel/random/boot_id "/proc/$$/stat" >"$record.new"; } || exit 1
mv "$record.new" "$record" || exit 1
exec "$@" </dev/null
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs now."""

    pid: int


def spawn(argv: Sequence[str], *, record: Path, console: Path) -> None:
    """Start a program in a session of its own and return once it is written down.

    Its output goes to the end of `console`. Raises TwinError when it did not come to be
    written down.
    """
    record.unlink(missing_ok=True)
    ready, announce = os.pipe()
    try:
        with console.open("ab") as output:
            subprocess.run(
                ("setsid", "--fork", "sh", "-c", _SHIM, "sh", str(record), *argv),
                stdin=announce,
                stdout=output,
                stderr=output,
                env=environment(),
                check=True,
            )
    finally:
        os.close(announce)
        os.read(ready, 1)
        os.close(ready)
    if not record.exists():
        raise TwinError(f"{argv[0]} could not be started; {console} says why")


def find(record: Path) -> Running | None:
    """Return the process that a record speaks of, None when it has ended."""
    try:
        boot, stat = record.read_text().split("\n", 1)
    except (FileNotFoundError, ValueError):
        return None
    if boot != Path("/proc/sys/kernel/random/boot_id").read_text().strip():
        return None
    pid = int(stat.split(" ", 1)[0])
    return Running(pid) if _started(stat) == _started(_stat(pid)) else None


def kill(record: Path, *, timeout: float = 15.0) -> None:
    """Kill the process of a record and wait until it is gone; none is fine.

    Raises TwinError when the kernel has not ended it within `timeout` seconds.
    """
    running = find(record)
    if running is None:
        return
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return
    try:
        # Between the look and the handle the pid may have become another's.
        if find(record) is None:
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise TwinError(f"process {running.pid} did not end within {timeout:.0f} seconds")
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _started(stat: str) -> str | None:
    """Return the start time in a line of /proc/PID/stat (proc(5)); None for a dead process.

    The program's name, in parentheses, may hold anything.
    """
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return fields[19]

"""Run the machine's own programs and turn their failures into sentences."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence

from crosprov.errors import TwinError
from crosprov.twin.requirements import find


def run(*argv: str, stdin: str = "", timeout: float = 60.0, pass_fds: Sequence[int] = ()) -> str:
    """Run a program to its end and return its standard output.

    `timeout` is in seconds. Raises TwinError when the program is missing, fails or hangs.
    """
    try:
        done = subprocess.run(
            (find(argv[0]) or argv[0], *argv[1:]),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            pass_fds=pass_fds,
            env=environment(),
        )
    except FileNotFoundError:
        raise TwinError(f"{argv[0]} is not installed on this machine") from None
    except subprocess.TimeoutExpired:
        raise TwinError(f"{argv[0]} was still at work after {timeout:.0f} seconds") from None
    if done.returncode != 0:
        why = last_lines(done.stderr or done.stdout, 3) or f"status {done.returncode}"
        raise TwinError(f"{' '.join(argv[:4])} failed: {why}")
    return done.stdout


def ip_batch(commands: Iterable[str], *, namespace: str | None = None) -> None:
    """Apply many commands of ip(8) in one process, in order; the first failure ends it."""
    text = "".join(f"{command}\n" for command in commands)
    if text:
        where = ("-n", namespace) if namespace else ()
        run("ip", *where, "-batch", "-", stdin=text)


def environment() -> dict[str, str]:
    """Return the environment for the machine's programs: plain messages, root's PATH."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return os.environ | {"PATH": path, "LC_ALL": "C"}


def last_lines(text: str, count: int) -> str:
    """Return the last lines that are not blank, joined by ' / '."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])

"""Wait until a twin answers: first its SSH server, then its init."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin.container import Container
from crosprov.twin.programs import environment
from crosprov.twin.spec import Kind

BOOT_TIMEOUT = 120.0
_PAUSE = 0.03


def await_ready(container: Container, ssh: tuple[str, ...], *, timeout: float) -> None:
    """Return when the twin can be logged in to and, on a server, systemd has started all.

    `ssh` is a command line that logs in as root; `timeout` is in seconds. Raises TwinError
    with the end of the console when the twin dies or the time has passed.
    """
    deadline = time.monotonic() + timeout
    address = str(container.seat.management)
    while not _greets(address):
        if container.running is None:
            raise _failed(container, "ended while it booted")
        if time.monotonic() > deadline:
            raise _failed(container, f"did not answer by SSH within {timeout:.0f} seconds")
        time.sleep(_PAUSE)
    if container.seat.host.kind is Kind.SERVER:
        state = _system_state(ssh, deadline)
        if state not in ("running", "degraded"):
            raise _failed(container, f"is {state or 'silent'} after its boot")


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1.0) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _system_state(ssh: tuple[str, ...], deadline: float) -> str:
    """Ask systemd until it has an answer: before its bus is up it has none."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            done = subprocess.run(
                (*ssh, "systemctl is-system-running --wait"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=left,
                env=environment(),
            )
        except subprocess.TimeoutExpired:
            break
        if state := done.stdout.strip():
            return state
        time.sleep(_PAUSE)
    return ""


def _failed(container: Container, what: str) -> TwinError:
    log: Path = container.home / "console.log"
    return TwinError(
        f"twin {container.seat.host.name} {what}; its console ends: {container.console()}",
        hint=f"the whole console is in {log}",
    )

"""Hosts for tests that can be rebooted: a boot id in a file, and a stand-in for `reboot`."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crosprov.errors import Unreachable
from crosprov.planning.boot import BOOT_ID
from crosprov.transport.base import Channel, Completed, Sink, SshTarget, Transport
from crosprov.transport.local import LocalTransport
from tests.support.sshd import SSHD, Sshd, await_banner

# A reboot kills what runs on the host, and the next boot has an id of its own.
REBOOTS = "echo second > {folder}/boot_id; kill -9 0"


class RebootingTransport:
    """Another transport, to a host whose boot id and whose `reboot` are in a folder."""

    def __init__(self, inner: Transport, folder: Path) -> None:
        self._inner = inner
        self._folder = folder

    @property
    def round_trips(self) -> int:
        return self._inner.round_trips

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        boot_id = str(self._folder / "boot_id")
        command = command.replace(BOOT_ID, boot_id)
        stdin = bytes(stdin).replace(BOOT_ID.encode(), boot_id.encode())
        wrapped = f'PATH={self._folder}/bin:"$PATH" exec /bin/sh -c {shlex.quote(command)}'
        return self._inner.run(
            wrapped, stdin=stdin, timeout=timeout, on_stdout=on_stdout, on_stderr=on_stderr
        )

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> Channel:
        return self._inner.open_tcp(host, port, timeout=timeout)

    def close(self) -> None:
        self._inner.close()


@dataclass
class Rebootable:
    """This machine as a host that can be rebooted; `reboot` is what its `reboot` does.

    After that so many `refusals` meet those who connect.
    """

    folder: Path
    reboot: str = REBOOTS
    refusals: int = 0
    connections: int = 0
    told: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        prepare(self.folder, self.reboot)

    @property
    def told_to_reboot(self) -> bool:
        """Tell whether `reboot` was called."""
        return (self.folder / "told").exists()

    def connect(self, target: SshTarget) -> Transport:
        """Connect, when nobody is refused any more."""
        if self.told_to_reboot and self.refusals > 0:
            self.refusals -= 1
            self.told()
            raise Unreachable(target.name, "no route to host")
        self.connections += 1
        return RebootingTransport(LocalTransport(target.name, sudo=False), self.folder)


def prepare(folder: Path, reboot: str = REBOOTS) -> None:
    """Put a boot id and a `reboot` into a folder."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "boot_id").write_text("first\n")
    program = folder / "bin/reboot"
    program.write_text(f"#!/bin/sh\ntouch {folder}/told\n{reboot.format(folder=folder)}\n")
    program.chmod(0o755)


@contextlib.contextmanager
def rebooting(server: Sshd, folder: Path) -> Iterator[None]:
    """Let an SSH server go away and come back when its host is told to reboot."""
    prepare(folder, "exec sleep 60")
    over = threading.Event()
    begun: list[subprocess.Popen[bytes]] = []

    def watch() -> None:
        while not (folder / "told").exists():
            if over.wait(0.02):
                return
        for pid in (server.pid, *server.sessions()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (folder / "boot_id").write_text("second\n")
        over.wait(0.3)  # for those who connect too early
        begun.append(_start(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for process in begun:
            process.terminate()
            process.wait()


def _start(server: Sshd) -> subprocess.Popen[bytes]:
    log = server.directory / "second.log"
    command = [SSHD or "sshd", "-D", "-e", "-f", str(server.directory / "sshd_config")]
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)
    await_banner(process, server.port, log)
    return process

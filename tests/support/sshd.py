"""A real OpenSSH server on loopback, with keys of its own, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crosprov.transport.base import SshTarget
from tests.support.ports import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
MISSING = "openssh-server and openssh-client are not installed"

_ADDRESS = "127.0.0.1"
_START = 20.0


def installed() -> bool:
    """Return whether a server can be started here."""
    return SSHD is not None and shutil.which("ssh-keygen") is not None


@dataclass(frozen=True, slots=True)
class Sshd:
    """Hold a running server: where it listens, what opens it, and what it is known by."""

    port: int
    directory: Path
    client_key: Path
    host_keys: tuple[Path, ...]
    known_hosts: Path
    pid: int
    address: str = _ADDRESS

    def target(self, **changes: Any) -> SshTarget:
        """Return a target that reaches the server, whatever the user's configuration says."""
        return replace(
            SshTarget(
                name="host1",
                host=self.address,
                port=self.port,
                user=getpass.getuser(),
                identity_file=str(self.client_key),
                known_hosts=str(self.known_hosts),
                use_ssh_config=False,
            ),
            **changes,
        )

    def known_hosts_line(self, key: int = 0) -> str:
        """Return the line that a known_hosts file needs for one of the server's keys."""
        kind, blob, *_ = self.public_key(key).split()
        return f"[{self.address}]:{self.port} {kind} {blob}\n"

    def public_key(self, key: int = 0) -> str:
        return self.host_keys[key].with_name(self.host_keys[key].name + ".pub").read_text()

    def sessions(self) -> list[int]:
        """Return the pids of the processes that serve connections, without the listener's."""
        return _descendants(self.pid)


def keygen(file: Path, kind: str = "ed25519", *, passphrase: str = "", comment: str = "") -> Path:
    """Make a key pair and return the private key's path."""
    size = ["-b", "2048"] if kind == "rsa" else []
    command = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", comment]
    subprocess.run([*command, "-f", str(file)], check=True, stdin=subprocess.DEVNULL)
    return file


@contextlib.contextmanager
def sshd(
    directory: Path,
    *,
    options: Sequence[str] = (),
    host_key_types: Sequence[str] = ("ed25519",),
    client_key: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sshd]:
    """Run a server with its files in `directory`, which must be the server's alone.

    `options` are lines of sshd_config(5) and win over the defaults here. `environment`
    is set for the commands; their home is `directory`, so that no shell reads the
    start-up files of whoever runs the tests. The client key is made unless one is given.
    """
    directory.mkdir(parents=True, exist_ok=True)
    variables = {"HOME": str(directory), **(environment or {})}
    options = [*options, "SetEnv " + " ".join(f"{k}={v}" for k, v in variables.items())]
    host_keys = tuple(keygen(directory / f"host_{kind}", kind) for kind in host_key_types)
    key = client_key or keygen(directory / "client")
    shutil.copy(key.with_name(f"{key.name}.pub"), directory / "authorized_keys")
    with _listening(directory, host_keys, options) as (process, port):
        server = Sshd(port, directory, key, host_keys, directory / "known_hosts", process.pid)
        lines = [server.known_hosts_line(number) for number in range(len(host_keys))]
        server.known_hosts.write_text("".join(lines))
        try:
            yield server
        finally:
            _end(process, server.sessions())


@contextlib.contextmanager
def _listening(
    directory: Path, host_keys: Sequence[Path], options: Sequence[str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    if os.geteuid() == 0:
        # sshd refuses to start as root without it; the service's unit makes it elsewhere.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    config = directory / "sshd_config"
    config.write_text("\n".join([*options, *_defaults(directory, host_keys, port), ""]))
    log = directory / "sshd.log"
    command = [SSHD or "sshd", "-D", "-e", "-f", str(config)]
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)
    try:
        await_banner(process, port, log)
        yield process, port
    finally:
        _end(process, [])


def _defaults(directory: Path, host_keys: Sequence[Path], port: int) -> list[str]:
    return [
        f"ListenAddress {_ADDRESS}:{port}",
        *(f"HostKey {key}" for key in host_keys),
        f"AuthorizedKeysFile {directory}/authorized_keys",
        "StrictModes no",
        "PidFile none",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 200",
        "PrintMotd no",
        "LogLevel VERBOSE",
    ]


def await_banner(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when a server that was started answers; raises RuntimeError with its log."""
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection((_ADDRESS, port), timeout=_START) as probe:
                if probe.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text()}")


def _end(process: subprocess.Popen[bytes], sessions: list[int]) -> None:
    process.terminate()
    process.wait()
    for pid in sessions:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = [int(child) for child in children]
    return found + [below for child in found for below in _descendants(child)]

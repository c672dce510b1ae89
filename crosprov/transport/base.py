"""What a transport is: one way to run commands as root on one host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Sink = Callable[[bytes], None]

KEPT = 16 * 1024 * 1024  # bytes of an output that stay in memory although a sink takes them


@dataclass(frozen=True, slots=True)
class Completed:
    """Hold what a command left: its exit status and its two outputs, as bytes."""

    status: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A byte stream to an address that the host can reach; a socket's few methods."""

    def sendall(self, data: bytes, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Run commands as root on one host over one connection."""

    @property
    def round_trips(self) -> int:
        """Count the commands sent so far (each costs the same few network round trips)."""
        ...

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        """Run a shell command and wait for its end.

        `timeout` is in seconds, the target's own limit by default. Sinks see output as it
        comes, in the calling thread; of what they see only the first `KEPT` bytes are in the
        result. Raises HostSilent when the limit passes or the
        connection goes away, NoPrivilege when root cannot be had.
        """
        ...

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> Channel:
        """Open a TCP connection from the host to an address that the host can reach.

        Raises OSError when it is refused or the limit passes.
        """
        ...

    def close(self) -> None:
        """End the connection; further calls do nothing."""
        ...


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Say how one host is reached; what is None comes from the SSH configuration.

    Times are in seconds. Without a `connect_timeout` here or in the SSH configuration
    a connection may take 10 s, from the first packet to the login.
    """

    name: str
    host: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    proxy_jump: str | None = None
    sudo: bool = False
    accept_new_host_keys: bool = False
    connect_timeout: float | None = None
    command_timeout: float = 600.0
    use_ssh_config: bool = True
    local: bool = False

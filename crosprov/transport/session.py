"""Commands over one SSH connection."""

from __future__ import annotations

import threading
from collections.abc import Callable

import paramiko

from crosprov.errors import HostSilent
from crosprov.transport.base import Channel, Completed, Sink, SshTarget
from crosprov.transport.deadline import Deadline
from crosprov.transport.execution import Dead, Execution, Late, SinkFailed
from crosprov.transport.privilege import Sudo, portable
from crosprov.transport.route import Hop
from crosprov.transport.wire import Connection

# A stuck send ends this long after the command's limit, with the connection.
_GRACE = 2.0


class SshSession:
    """Run commands on one host, each in a channel of its own over one connection."""

    def __init__(
        self, target: SshTarget, hop: Hop, connection: Connection, close: Callable[[], None]
    ) -> None:
        self._target = target
        self._hop = hop
        self._connection = connection
        self._close = close
        self._round_trips = 0
        self._lock = threading.Lock()

    @property
    def round_trips(self) -> int:
        return self._round_trips

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        """Run a shell command and wait for its end. Raises HostSilent or NoPrivilege."""
        limit = self._target.command_timeout if timeout is None else timeout
        with self._lock:
            self._round_trips += 1
        if not self._target.sudo:
            return self._execute(portable(command), stdin, limit, on_stdout, on_stderr)
        sudo = Sudo(self._hop.name, self._hop.where)
        line = portable(sudo.words(command))
        done = self._execute(line, stdin, limit, on_stdout, sudo.sink(on_stderr))
        return sudo.outcome(done)

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> Channel:
        """Open a TCP connection from the host. Raises OSError when it is refused or slow."""
        with Deadline(timeout, self._close, grace=_GRACE):
            try:
                channel = self._connection.open_channel(
                    "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout
                )
            except paramiko.ChannelException as error:
                message = f"{self._hop.where} cannot reach {host} port {port} ({error.text})"
                raise ConnectionRefusedError(message) from error
            except (paramiko.SSHException, EOFError) as error:
                message = f"{self._hop.where} gave no connection to {host} port {port} ({error})"
                raise TimeoutError(message) from error
        channel.settimeout(timeout)
        return _TcpChannel(channel)

    def close(self) -> None:
        """End the connection, from any thread; a command under way fails at once."""
        self._close()

    def _execute(
        self,
        line: str,
        stdin: bytes,
        limit: float,
        on_stdout: Sink | None,
        on_stderr: Sink | None,
    ) -> Completed:
        with Deadline(limit, self._close, grace=_GRACE) as deadline:
            try:
                execution = Execution(self._connection, self._hop, deadline)
                return execution.run(line, stdin, on_stdout, on_stderr)
            except SinkFailed as failure:
                raise failure.error from None
            except (Late, Dead, paramiko.SSHException, EOFError, OSError) as error:
                if deadline.remaining() == 0:
                    raise self._late(limit) from error
                raise self._gone(str(error)) from error

    def _late(self, limit: float) -> HostSilent:
        return HostSilent(
            self._hop.name,
            f"A command on {self._hop.where} did not end within {limit:g} s.",
            hint="The host may be overloaded or the command waits for something; raise "
            "ssh.command_timeout if it only needs longer.",
        )

    def _gone(self, reason: str) -> HostSilent:
        self._close()
        detail = f" ({reason.rstrip('.')})" if reason else ""
        return HostSilent(
            self._hop.name,
            f"The connection to {self._hop.where} went away during a command{detail}.",
            hint="The host may have rebooted or lost its network; the next run goes on from "
            "what it finds.",
        )


class _TcpChannel:
    """A channel whose failures are OSErrors, like those of a socket."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def sendall(self, data: bytes, /) -> None:
        try:
            self._channel.sendall(data)
        except EOFError as error:
            raise ConnectionResetError("the SSH connection went away") from error

    def recv(self, size: int, /) -> bytes:
        try:
            return self._channel.recv(size)
        except EOFError as error:
            raise ConnectionResetError("the SSH connection went away") from error

    def close(self) -> None:
        try:
            self._channel.close()
        except EOFError:
            pass

"""Commands over one SSH connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko

from crosprov.errors import HostSilent
from crosprov.transport.base import Channel, Completed, Sink, SshTarget
from crosprov.transport.deadline import Deadline
from crosprov.transport.privilege import Sudo, portable
from crosprov.transport.route import Hop
from crosprov.transport.wire import Bell, Connection

_CHUNK = 32 * 1024
_BITE = 1024 * 1024

# A stuck send ends this long after the command's limit, with the connection.
_GRACE = 2.0

# A daemon that a command left behind may hold its outputs open for ever; they are
# listened to for this long after the command's own end.
_LINGER = 5.0


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
                execution = _Execution(self._connection, self._hop, deadline)
                return execution.run(line, stdin, on_stdout, on_stderr)
            except _SinkFailed as failure:
                raise failure.error from None
            except (_Late, _Dead, paramiko.SSHException, EOFError, OSError) as error:
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


class _SinkFailed(Exception):
    """A caller's sink raised an error, which is not the connection's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Late(Exception):
    """The command's limit has passed."""


class _Dead(Exception):
    """The peer gives no sign of life; the message says for how long."""


class _Execution:
    """Move the bytes of one command until it ends, without ever waiting for one stream."""

    def __init__(self, connection: Connection, hop: Hop, deadline: Deadline) -> None:
        self._connection = connection
        self._hop = hop
        self._deadline = deadline
        self._bell = Bell()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._pings = 0

    def run(
        self, line: str, stdin: bytes, on_stdout: Sink | None, on_stderr: Sink | None
    ) -> Completed:
        """Start the command and see it through."""
        channel: Any = self._open()
        self._connection.bells[channel.chanid] = self._bell
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        try:
            # The answer to this request is not waited for: it would cost one more round
            # trip, and a refusal closes the channel.
            self._connection.ask(channel, "exec", line, reply=True)
            self._pump(channel, stdin, on_stdout, on_stderr)
            return Completed(self._status(channel), bytes(self._stdout), bytes(self._stderr))
        except _Late:
            # Closing the channel leaves a command running that only waits. OpenSSH heeds
            # the signal for every account but root's.
            self._connection.ask(channel, "signal", "TERM", reply=False)
            raise
        finally:
            channel.close()
            self._connection.bells.pop(channel.chanid, None)
            self._connection.signals.pop(channel.chanid, None)

    def _open(self) -> paramiko.Channel:
        try:
            return self._connection.open_session(timeout=self._deadline.remaining())
        except paramiko.ChannelException:
            raise
        except paramiko.SSHException:
            # A channel may still open behind our back, so the connection goes too.
            self._connection.close()
            raise

    def _pump(
        self, channel: Any, stdin: bytes, on_stdout: Sink | None, on_stderr: Sink | None
    ) -> None:
        sender = _Sender(channel, stdin)
        ended: float | None = None
        while True:
            finished = channel.closed
            moved = self._drain(channel, on_stdout, on_stderr)
            moved |= sender.send()
            if moved:
                ended = None
                if self._deadline.remaining() > 0:
                    continue
            if finished:
                return
            if channel.exit_status_ready() and not channel.closed:
                ended = ended or time.monotonic()
                if time.monotonic() - ended > _LINGER:
                    return
            self._wait()

    def _drain(self, channel: Any, on_stdout: Sink | None, on_stderr: Sink | None) -> bool:
        moved = False
        if channel.recv_ready():
            _keep(channel.recv(_BITE), self._stdout, on_stdout)
            moved = True
        if channel.recv_stderr_ready():
            _keep(channel.recv_stderr(_BITE), self._stderr, on_stderr)
            moved = True
        return moved

    def _wait(self) -> None:
        """Wait for the bell; ask a silent peer for a sign of life, and give it up in time."""
        left = self._deadline.remaining()
        if left == 0:
            raise _Late
        interval = self._hop.alive_interval
        silence = self._connection.silence
        if silence < interval:
            self._pings = 0
        elif silence > interval * (self._pings + 1):
            if self._pings >= self._hop.alive_count:
                raise _Dead(f"no sign of life for {silence:.0f} s")
            self._pings += 1
            self._connection.ping()
        due = interval * (self._pings + 1) - silence
        self._bell.listen(min(left, max(due, 0.01), _LINGER))

    def _status(self, channel: Any) -> int:
        number = self._connection.signals.get(channel.chanid)
        if number is not None:
            return 128 + number
        if channel.exit_status < 0:
            raise _Dead("it ended without a status")
        return int(channel.exit_status)


class _Sender:
    """Send a command's input as fast as the host takes it, and then its end."""

    def __init__(self, channel: Any, data: bytes) -> None:
        self._channel = channel
        self._data = memoryview(data)
        self._open = True

    def send(self) -> bool:
        """Send one piece if there is room for it; return whether something was sent."""
        if not self._open or self._channel.closed:
            return False
        if not self._data:
            self._open = False
            self._channel.shutdown_write()
            return False
        if not self._channel.send_ready():
            return False
        try:
            sent = self._channel.send(bytes(self._data[:_CHUNK]))
        except OSError:
            # The command ended without reading all of its input, as it may.
            self._open = False
            return False
        self._data = self._data[sent:]
        return True


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


def _keep(data: bytes, store: bytearray, sink: Sink | None) -> None:
    store += data
    if sink is not None and data:
        try:
            sink(data)
        except Exception as error:
            raise _SinkFailed(error) from error

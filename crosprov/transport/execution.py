"""One command in one channel: its bytes move both ways until it ends."""

from __future__ import annotations

import time
from typing import Any

import paramiko

from crosprov.transport.base import KEPT, Completed, Sink
from crosprov.transport.deadline import Deadline
from crosprov.transport.route import Hop
from crosprov.transport.wire import Bell, Connection

_CHUNK = 32 * 1024
_BITE = 1024 * 1024

# A daemon that a command left behind may hold its outputs open for ever; they are
# listened to for this long after the command's own end.
_LINGER = 5.0


class SinkFailed(Exception):
    """A caller's sink raised an error, which is not the connection's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Late(Exception):
    """The command's limit has passed."""


class Dead(Exception):
    """The peer gives no sign of life; the message says for how long."""


class Execution:
    """Move the bytes of one command until it ends, without ever waiting for one stream."""

    def __init__(self, connection: Connection, hop: Hop, deadline: Deadline) -> None:
        self._connection = connection
        self._hop = hop
        self._deadline = deadline
        self._bell = Bell()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._pings = 0
        self._pinged = 0.0

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
        except Late:
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
        """Wait for the bell, but never past the limit or the next look at the peer."""
        left = self._deadline.remaining()
        if left == 0:
            raise Late
        self._bell.listen(min(left, self._look(), _LINGER))

    def _look(self) -> float:
        """Ask a silent peer for a sign of life; return when to look again, in seconds.

        Only questions without an answer count, not the silence before the first one: a
        slow sink or a machine that slept may have kept us from asking.
        """
        interval = self._hop.alive_interval
        silence = self._connection.silence
        waited = time.monotonic() - self._pinged
        if silence < waited:
            self._pings = 0
        if silence < interval:
            return interval - silence
        if self._pings and waited < interval:
            return interval - waited
        if self._pings >= self._hop.alive_count:
            raise Dead(f"no sign of life for {silence:.0f} s")
        self._pings += 1
        self._pinged = time.monotonic()
        self._connection.ping()
        return interval

    def _status(self, channel: Any) -> int:
        number = self._connection.signals.get(channel.chanid)
        if number is not None:
            return 128 + number
        if channel.exit_status < 0:
            raise Dead("it ended without a status")
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


def _keep(data: bytes, store: bytearray, sink: Sink | None) -> None:
    store += data if sink is None else data[: max(0, KEPT - len(store))]
    if sink is not None and data:
        try:
            sink(data)
        except Exception as error:
            raise SinkFailed(error) from error

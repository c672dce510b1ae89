"""paramiko's connection, made to notice a dead peer and to end at once."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import paramiko
from paramiko import common
from paramiko.packet import Packetizer

# Failures come back as exceptions with a sentence. Without a handler of its own,
# logging would write paramiko's copy of them, traceback and all, to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

STALL = 30.0
"""A peer that takes not one byte for this long, in seconds, is gone."""

_POLL = 1.0


class Wire(Packetizer):
    """Read and write packets; remember when the peer was last heard."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sock = sock
        self._is_tcp = getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6)
        self.heard = time.monotonic()

    def start_handshake(self, timeout: float) -> None:
        """Leave the handshake to the caller's deadline.

        paramiko's own timer is not a daemon thread: after a handshake that failed it
        would keep the process alive until it runs out.
        """

    def read_message(self) -> Any:
        if self._is_tcp:
            # Until a session begins, sshd leaves Nagle on: after the login its answer to
            # our first channel waits for an acknowledgement, which this kernel would
            # hold back for 40 ms. The option lasts only for a while.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        message = super().read_message()
        self.heard = time.monotonic()
        return message

    def write_all(self, out: Any) -> None:
        """Send everything, or raise EOFError when the peer takes nothing for STALL seconds.

        paramiko's own loop never gives up. A socket's TCP_USER_TIMEOUT would end it,
        but a channel of a jump host has none.
        """
        moved = time.monotonic()
        while out:
            try:
                sent = self._sock.send(out)
            except TimeoutError:
                if self.closed or time.monotonic() - moved > STALL:
                    raise EOFError from None
                continue
            except OSError:
                raise EOFError from None
            if sent == 0:
                raise EOFError
            moved = time.monotonic()
            out = out[sent:]

    def close(self) -> None:
        # A thread that waits in recv is not woken by close alone. Behind a jump host the
        # socket is a channel, and closing it says so to a jump host that may be gone.
        for end in (lambda: self._sock.shutdown(2), super().close):
            with suppress(OSError, EOFError):
                end()


class Bell:
    """An event that stays rung until its owner has listened.

    A channel clears its event whenever one of its two buffers is empty, and would so
    lose the ring of the other one.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """Do nothing; `listen` clears."""

    def listen(self, seconds: float) -> None:
        """Wait for a ring, or until the seconds have passed."""
        self._event.wait(seconds)
        self._event.clear()


class Connection(paramiko.Transport):
    """One SSH connection, with what paramiko's lacks for commands that must not hang."""

    # Preferences only: everything paramiko can do stays on offer to old servers.
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "3des-cbc",
    )
    # The reader thread wakes this often for nothing; a close wakes it at once.
    _active_check_timeout = _POLL

    packetizer: Wire
    _channel_handler_table: ClassVar[dict[int, Callable[[Any, paramiko.Message], None]]]
    _send_user_message: Callable[[paramiko.Message], None]

    def __init__(self, sock: Any) -> None:
        self.bells: dict[int, Bell] = {}
        self.signals: dict[int, int] = {}
        super().__init__(sock, packetizer_class=Wire)

    @property
    def silence(self) -> float:
        """Return the seconds since the peer was last heard."""
        return time.monotonic() - self.packetizer.heard

    def ping(self) -> None:
        """Ask the peer for a sign of life, without waiting for it.

        The kernel's keepalive vouches only for the peer's kernel, and behind a jump
        host only for the jump host's. paramiko's keepalive asks for no reply. A server
        answers an unknown request that wants a reply with a refusal, RFC 4254 section 4.
        """
        message = paramiko.Message()
        message.add_byte(common.cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    def ask(self, channel: paramiko.Channel, request: str, text: str, *, reply: bool) -> None:
        """Send a channel request with one text, without waiting for the answer."""
        message = paramiko.Message()
        message.add_byte(common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(request)
        message.add_boolean(reply)
        message.add_string(text)
        self._send_user_message(message)

    def close(self) -> None:
        super().close()
        self.packetizer.close()


def _on_request(channel: Any, message: paramiko.Message) -> None:
    """Note death by a signal, which paramiko drops; leave other requests to paramiko."""
    if message.get_text() == "exit-signal":
        message.get_boolean()
        name = message.get_text().partition("@")[0]
        number = getattr(signal, f"SIG{name}", None)
        _connection(channel).signals[channel.chanid] = int(number or 0)
        return
    message.rewind()
    message.get_int()
    channel._handle_request(message)
    _ring(channel)


def _on_window(channel: Any, message: paramiko.Message) -> None:
    channel._window_adjust(message)
    _ring(channel)


def _on_refusal(channel: Any, message: paramiko.Message) -> None:
    channel._request_failed(message)
    _ring(channel)


def _ring(channel: paramiko.Channel) -> None:
    bell = _connection(channel).bells.get(channel.chanid)
    if bell is not None:
        bell.set()


def _connection(channel: paramiko.Channel) -> Connection:
    connection = channel.get_transport()
    if not isinstance(connection, Connection):
        raise TypeError("the channel belongs to another kind of connection")
    return connection


_STOCK: Any = paramiko.Transport
Connection._channel_handler_table = {
    **_STOCK._channel_handler_table,
    common.MSG_CHANNEL_REQUEST: _on_request,
    common.MSG_CHANNEL_WINDOW_ADJUST: _on_window,
    common.MSG_CHANNEL_FAILURE: _on_refusal,
}

"""Sockets to SSH servers: straight, through a command, or through a jump host."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import paramiko

from crosprov.errors import Unreachable
from crosprov.transport.deadline import Deadline
from crosprov.transport.route import Hop
from crosprov.transport.wire import Connection

# A peer that was switched off sends no FIN. The kernel probes an idle connection, and
# gives up on data that is not acknowledged: both after about half a minute.
_KEEPALIVE = {
    socket.TCP_KEEPIDLE: 15,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,
}
_NO_ROUTE = "Check the address in the inventory, and that the host is up and on this network."

_Address = tuple[int, int, int, str, Any]


def dial(hop: Hop, deadline: Deadline) -> socket.socket:
    """Open a TCP connection. Raises Unreachable, saying address and port."""
    limit = min(hop.connect_timeout, deadline.remaining())
    addresses = _resolve(hop, limit)
    failures: list[OSError] = []
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        # The last address may use all the time that the earlier ones left over.
        try:
            return _open(address, min(limit, deadline.remaining()) / left)
        except OSError as error:
            failures.append(error)
    raise _refusal(hop, failures[-1], limit)


def dial_through(hop: Hop, jump: Connection, jump_where: str, deadline: Deadline) -> Any:
    """Open a channel from a jump host to the next hop. Raises Unreachable."""
    try:
        channel = jump.open_channel(
            "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=deadline.remaining()
        )
    except paramiko.ChannelException as error:
        raise Unreachable(
            hop.name,
            f"{jump_where} could not connect to {hop.host} port {hop.port} ({error.text}).",
            hint="Check the address as the jump host sees it, and that the jump host's sshd "
            "has AllowTcpForwarding.",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(
            hop.name, f"{jump_where} gave no connection to {hop.host} port {hop.port} ({error})."
        ) from error
    return channel


class ProxyCommand:
    """Run a ProxyCommand, whose standard input and output carry the connection."""

    def __init__(self, command: str) -> None:
        # A socket, unlike paramiko's pair of pipes, knows time limits and shutdown.
        self.sock, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                start_new_session=True,
            )

    def complaint(self) -> str:
        """Return the last line that the command wrote on its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End the command and whatever it started."""
        self.sock.close()
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(timeout=1)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()


def _open(address: _Address, seconds: float) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(max(seconds, 0.001))
        sock.connect(place)
        # Without this a small packet waits for the acknowledgement of the one before
        # it, which costs 40 ms in each command.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(hop: Hop, seconds: float) -> Sequence[_Address]:
    """Return the addresses of a name; a name server gets no longer than the limit."""
    answer: list[Sequence[_Address] | OSError] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error if isinstance(error, OSError) else OSError(str(error)))

    if _is_literal(hop.host):
        ask()
    else:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(seconds)
    if answer and not isinstance(answer[0], OSError):
        return answer[0]
    reason = f"within {round(seconds, 1):g} s" if not answer else f"({_words(answer[0])})"
    raise Unreachable(
        hop.name,
        f"The name {hop.host} of {hop.where} could not be resolved {reason}.",
        hint="Check the spelling of ssh.host, or give an address.",
    )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refusal(hop: Hop, error: OSError, limit: float) -> Unreachable:
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            hop.name,
            f"{hop.where} refused the connection.",
            hint="Check that sshd runs there, on that port.",
        )
    if isinstance(error, TimeoutError):
        message = f"{hop.where} did not answer within {round(limit, 1):g} s."
        return Unreachable(hop.name, message, hint=_NO_ROUTE)
    message = f"No connection to {hop.where} could be made ({_words(error)})."
    return Unreachable(hop.name, message, hint=_NO_ROUTE)


def _words(error: object) -> str:
    return str(getattr(error, "strerror", None) or error)

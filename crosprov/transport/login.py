"""From a target to a session: dial every hop, check its host key, log in."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import paramiko

from crosprov.errors import HostError, HostSilent, LoginRefused, Unreachable
from crosprov.transport import hostkeys
from crosprov.transport.base import SshTarget, Transport
from crosprov.transport.deadline import Deadline
from crosprov.transport.dial import ProxyCommand, dial, dial_through
from crosprov.transport.hostkeys import HostIdentity
from crosprov.transport.identity import Identities, Offer
from crosprov.transport.route import Hop, plan_route
from crosprov.transport.session import SshSession
from crosprov.transport.wire import Connection

_NEVER = 10**6

_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)

# A step that keeps the limit by itself may say more exactly what it waited for.
_GRACE = 0.5

_LOAD = "Load the key with ssh-add, or name another one with ssh.identity_file."
_ADD = "Add the public key to the account's authorized_keys, or name the right one with ssh."


def log_in(target: SshTarget) -> Transport:
    """Open the connection to a host within one limit, from the first packet to the login."""
    route = plan_route(target)
    ladder = _Ladder(target)
    with Deadline(route[-1].connect_timeout, ladder.close, grace=_GRACE) as deadline:
        try:
            for hop in route:
                ladder.climb(hop, deadline)
        except BaseException as error:
            ladder.close()
            if deadline.expired and isinstance(error, HostError):
                raise HostSilent(
                    target.name,
                    f"{ladder.where} did not finish the login within {deadline.seconds:g} s.",
                    hint="Raise ssh.connect_timeout if the host is slow; otherwise look at its "
                    "load and its sshd.",
                ) from error
            raise
    return SshSession(target, route[-1], ladder.top, ladder.close)


class _HungUp(Unreachable):
    """The server closed the connection before it said anything."""


class _Ladder:
    """Hold the connections made so far, each through the one before."""

    def __init__(self, target: SshTarget) -> None:
        self.where = target.name
        self._target = target
        self._rungs: list[Connection] = []
        self._closed = False
        self._closers: deque[Callable[[], None]] = deque()

    @property
    def top(self) -> Connection:
        return self._rungs[-1]

    def close(self) -> None:
        """Close everything at once, from any thread; whoever waits on it stops waiting.

        The first connection goes first: a farewell of a later one would have to travel
        through it, and might wait there for a peer that is gone.
        """
        self._closed = True
        while self._closers:
            try:
                self._closers.popleft()()
            except IndexError:
                return

    def _hold(self, close: Callable[[], None]) -> None:
        self._closers.append(close)
        if self._closed:
            # The limit passed while this was being opened.
            self.close()

    def climb(self, hop: Hop, deadline: Deadline) -> None:
        """Add the connection to the next hop."""
        below, self.where = self.where, hop.where
        identity = _host_identity(hop, self._target)
        connection = self._greeted(hop, below, identity, deadline)
        self._rungs.append(connection)
        key = connection.get_remote_server_key()
        hostkeys.check(identity, key.get_name(), key.asbytes())
        _authenticate(connection, hop)

    def _greeted(
        self, hop: Hop, below: str, identity: HostIdentity, deadline: Deadline
    ) -> Connection:
        """Return a connection after its handshake.

        A server that hangs up before its first word has too many logins under way
        (MaxStartups): a jump host that a whole lab is behind meets that at each run.
        """
        for pause in _PAUSES:
            try:
                return self._try(hop, below, identity, deadline)
            except _HungUp:
                if self._closed:
                    raise
                time.sleep(min(random.uniform(0.5, 1.5) * pause, deadline.remaining()))
        return self._try(hop, below, identity, deadline)

    def _try(self, hop: Hop, below: str, identity: HostIdentity, deadline: Deadline) -> Connection:
        sock, complaint = self._socket(hop, below, deadline)
        connection = Connection(sock)
        self._hold(connection.close)
        try:
            _shake_hands(connection, identity, hop, complaint)
        except Unreachable:
            connection.close()
            raise
        return connection

    def _socket(self, hop: Hop, below: str, deadline: Deadline) -> tuple[Any, Callable[[], str]]:
        if self._rungs:
            return dial_through(hop, self.top, below, deadline), str
        if hop.proxy_command is None:
            return dial(hop, deadline), str
        proxy = ProxyCommand(hop.proxy_command)
        self._hold(proxy.close)
        return proxy.sock, proxy.complaint


def _host_identity(hop: Hop, target: SshTarget) -> HostIdentity:
    return HostIdentity(
        name=hop.name,
        where=hop.where,
        host=hop.host,
        port=hop.port,
        alias=hop.host_key_alias,
        user_files=hop.known_hosts,
        system_files=hop.system_known_hosts,
        accept_new=target.accept_new_host_keys,
    )


def _shake_hands(
    connection: Connection, identity: HostIdentity, hop: Hop, complaint: Callable[[], str]
) -> None:
    """Exchange banners and keys, asking first for the kinds of host key on record."""
    options = connection.get_security_options()
    known = _signatures(hostkeys.types_on_record(identity))
    stock = list(options.key_types)
    options.key_types = [kind for kind in known if kind in stock] + [
        kind for kind in stock if kind not in known
    ]
    connection.banner_timeout = _NEVER
    connection.auth_timeout = _NEVER
    try:
        connection.start_client()
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = complaint()
        kind = Unreachable if connection.remote_version or said else _HungUp
        raise kind(
            hop.name,
            f"{hop.where} did not speak SSH as expected ({said or _reason(error)}).",
            hint="Check that the port is sshd's; a busy sshd also hangs up (MaxStartups).",
        ) from error


def _signatures(types: list[str]) -> list[str]:
    """Return the signature algorithms of the key types; an RSA key has several."""
    names: list[str] = []
    for kind in types:
        names += ["rsa-sha2-512", "rsa-sha2-256", kind] if kind == "ssh-rsa" else [kind]
    return names


def _authenticate(connection: Connection, hop: Hop) -> None:
    identities = Identities(hop)
    tried: list[str] = []
    try:
        for offer in identities.offers():
            if _accepted(connection, hop, offer, tried):
                return
        if not tried and _accepted(connection, hop, None, tried):
            return
    finally:
        identities.close()
    raise _refused(hop, tried, identities.skipped)


def _accepted(connection: Connection, hop: Hop, offer: Offer | None, tried: list[str]) -> bool:
    """Try one key, or none at all; return whether the host lets us in."""
    if offer is not None:
        tried.append(offer.label)
    try:
        if offer is None:
            further = connection.auth_none(hop.user)
        else:
            further = connection.auth_publickey(hop.user, offer.key)
    except paramiko.BadAuthenticationType as error:
        if offer is None and "publickey" in error.allowed_types:
            return False
        raise _no_keys(hop, error.allowed_types) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if connection.is_active():
            return False
        raise _refused(hop, tried, [], hung_up=_reason(error)) from error
    if further:
        raise _no_keys(hop, further)
    return True


def _refused(
    hop: Hop, tried: list[str], skipped: list[str], hung_up: str | None = None
) -> LoginRefused:
    message = f"{hop.where} refused the login of {hop.user}"
    if tried:
        message += f" with {' and '.join(tried)}"
    else:
        message += ", for there is no key to offer"
    if skipped:
        message += f"; not offered: {', '.join(skipped)}"
    if hung_up:
        message += f"; it hung up ({hung_up})"
    return LoginRefused(
        hop.name,
        f"{message}.",
        hint=_LOAD if skipped or not tried else f"{_ADD}identity_file; check ssh.user too.",
    )


def _no_keys(hop: Hop, methods: list[str]) -> LoginRefused:
    return LoginRefused(
        hop.name,
        f"{hop.where} wants more than a key from {hop.user}: {', '.join(methods)}.",
        hint="Only logins by key, certificate or agent work without a prompt; allow publickey "
        "alone in its sshd_config.",
    )


def _reason(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or "it closed the connection"

"""The way to a host: one hop after another, each with its own settings. Opens nothing."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import Unreachable
from crosprov.transport import sshconfig
from crosprov.transport.base import SshTarget
from crosprov.transport.sshconfig import ConfigError, Settings

CONNECT_TIMEOUT = 10.0
SERVER_ALIVE = 15.0
SERVER_ALIVE_COUNT = 3

_MAX_HOPS = 8
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>\S+)@)?(?P<host>\[[^@\s\]]+\]|[^@:\s\[\]]+)(?::(?P<port>\d+))?/?\Z"
)
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True, slots=True)
class Hop:
    """Say how one SSH server is reached from the hop before it, and who logs in there.

    `proxy_command` stands in for a TCP connection. Times are in seconds.
    """

    name: str
    where: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    certificate_files: tuple[Path, ...]
    identities_only: bool
    identity_agent: str | None
    known_hosts: tuple[Path, ...]
    system_known_hosts: tuple[Path, ...]
    host_key_alias: str | None
    proxy_command: str | None
    connect_timeout: float
    alive_interval: float
    alive_count: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Say what is asked for by name, before the configuration is consulted."""

    host: str
    port: int | None = None
    user: str | None = None


def plan_route(target: SshTarget) -> tuple[Hop, ...]:
    """Return the hops to a host, the host itself last.

    Raises Unreachable when the SSH configuration cannot be understood or the jump
    hosts lead in a circle.
    """
    try:
        return _Planner(target).plan()
    except ConfigError as error:
        raise Unreachable(
            target.name,
            f"The SSH configuration for {target.name} cannot be used: {error}.",
            hint="Correct it, or leave it aside with ssh.use_ssh_config: false.",
        ) from error


class _Planner:
    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._hops: list[Hop] = []

    def plan(self) -> tuple[Hop, ...]:
        target = self._target
        wanted = _Wanted(target.host, target.port, target.user)
        self._add(wanted, jumps=target.proxy_jump, final=True)
        return tuple(self._hops)

    def _add(self, wanted: _Wanted, *, jumps: str | None, final: bool, depth: int = 0) -> None:
        """Append the hops before this one, then this one.

        As with ssh -J, a list of jumps replaces what the configuration says for all but
        its first member, whose own ProxyJump still counts.
        """
        if depth > _MAX_HOPS:
            raise Unreachable(
                self._target.name,
                f"The jump hosts of {self._target.name} lead in a circle or are more than "
                f"{_MAX_HOPS} (at {wanted.host}).",
                hint="Look at ProxyJump in ~/.ssh/config and at ssh.proxy_jump.",
            )
        settings = self._settings(wanted)
        given = jumps if jumps is not None else settings.get("proxyjump")
        chain = [] if given is None or given.lower() == "none" else given.split(",")
        if chain:
            rest = ",".join(chain[:-1]) or None
            self._add(_parse_jump(chain[-1].strip()), jumps=rest, final=False, depth=depth + 1)
        self._hops.append(self._hop(wanted, settings, final=final, direct=given is None))

    def _settings(self, wanted: _Wanted) -> Settings:
        if not self._target.use_ssh_config:
            return Settings(wanted.host)
        return sshconfig.look_up(wanted.host, user=wanted.user, paths=sshconfig.files())

    def _hop(self, wanted: _Wanted, settings: Settings, *, final: bool, direct: bool) -> Hop:
        target = self._target
        host = sshconfig.expand(settings.get("hostname") or wanted.host, {"h": wanted.host})
        port = wanted.port or settings.number("port") or 22
        user = wanted.user or settings.get("user") or getpass.getuser()
        tokens = _Tokens(wanted.host, host, port, user)
        where = _where(target.name, host, port, final=final)
        command = settings.get("proxycommand") if direct else None
        timeout = settings.number("connecttimeout")
        if final and target.connect_timeout is not None:
            limit = target.connect_timeout
        else:
            limit = float(timeout) if timeout else CONNECT_TIMEOUT
        interval = settings.number("serveraliveinterval")
        count = settings.number("serveralivecountmax")
        return Hop(
            name=target.name,
            where=where,
            host=host,
            port=port,
            user=user,
            identity_files=_identity_files(target, settings, tokens, final=final),
            certificate_files=tokens.paths(settings.all("certificatefile") or []),
            identities_only=settings.flag("identitiesonly"),
            identity_agent=_agent(settings, tokens),
            known_hosts=_known_hosts(target, settings, tokens),
            system_known_hosts=() if target.known_hosts else _system_known_hosts(settings, tokens),
            host_key_alias=settings.get("hostkeyalias"),
            proxy_command=None if command is None else tokens.expand(command),
            connect_timeout=limit,
            alive_interval=float(interval) if interval else SERVER_ALIVE,
            alive_count=count or SERVER_ALIVE_COUNT,
        )


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Expand what ssh_config(5), section TOKENS, allows in paths and commands."""

    asked: str
    host: str
    port: int
    user: str

    def expand(self, text: str) -> str:
        return re.sub(r"%(.)", self._value, text)

    def path(self, text: str) -> Path:
        return Path(self.expand(text)).expanduser()

    def paths(self, texts: list[str]) -> tuple[Path, ...]:
        return tuple(self.path(text) for text in texts if text.lower() != "none")

    def _value(self, found: re.Match[str]) -> str:
        # Each is worked out only when it is asked for: %l may wait for a name server.
        values: dict[str, Callable[[], str]] = {
            "%": lambda: "%",
            "d": lambda: str(Path.home()),
            "h": lambda: self.host,
            "L": lambda: socket.gethostname().partition(".")[0],
            "l": socket.getfqdn,
            "n": lambda: self.asked,
            "p": lambda: str(self.port),
            "r": lambda: self.user,
            "u": getpass.getuser,
        }
        if found[1] not in values:
            raise ConfigError(f"it uses {found[0]}, which is not supported")
        return values[found[1]]()


def _parse_jump(text: str) -> _Wanted:
    found = _JUMP.match(text)
    if found is None:
        raise ConfigError(
            f"the jump host {text or '(empty)'} is not of the form [user@]host[:port]"
        )
    port = int(found["port"]) if found["port"] else None
    return _Wanted(found["host"].strip("[]"), port, found["user"])


def _where(name: str, host: str, port: int, *, final: bool) -> str:
    address = f"{host} port {port}"
    if not final:
        return f"the jump host {address}"
    return address if name == host else f"{name} ({address})"


def _identity_files(
    target: SshTarget, settings: Settings, tokens: _Tokens, *, final: bool
) -> tuple[Path, ...]:
    """Return the keys to offer; a jump host gets the target's when it has none of its own."""
    own = [target.identity_file] if target.identity_file else []
    configured = settings.all("identityfile")
    if final and own:
        return tokens.paths(own + (configured or []))
    if configured is not None or own:
        return tokens.paths((configured or []) + own)
    directory = Path("~/.ssh").expanduser()
    return tuple(directory / name for name in _DEFAULT_KEYS if (directory / name).exists())


def _agent(settings: Settings, tokens: _Tokens) -> str | None:
    """Return the agent's socket, `SSH_AUTH_SOCK` for the environment's, None for no agent."""
    values = settings.all("identityagent")
    if not values:
        return "SSH_AUTH_SOCK"
    value = values[0]
    if value.lower() == "none":
        return None
    return value if value == "SSH_AUTH_SOCK" else str(tokens.path(value))


def _known_hosts(target: SshTarget, settings: Settings, tokens: _Tokens) -> tuple[Path, ...]:
    if target.known_hosts:
        return (Path(target.known_hosts).expanduser(),)
    default = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    return tokens.paths(settings.all("userknownhostsfile") or default)


def _system_known_hosts(settings: Settings, tokens: _Tokens) -> tuple[Path, ...]:
    default = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
    return tokens.paths(settings.all("globalknownhostsfile") or default)

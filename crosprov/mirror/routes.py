"""Ways to web servers: proxy, trust and password of the environment, looked up once a server.

The variables and files are those that curl and the requests library know.
"""

from __future__ import annotations

import netrc
import os
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from crosprov.mirror.connections import Answer, Connections, PlainConnection, SecureConnection

_PORTS = {"http": 80, "https": 443}
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"  # of an address, besides letters, digits and _.-


class Unaskable(Exception):
    """An address, or the way to it, is of a kind that cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long a server is waited for, in seconds: to connect, and while it is silent."""

    connect: float
    silence: float


@dataclass(frozen=True, slots=True)
class _Route:
    """How one server is asked; a proxy of plain HTTP wants whole addresses."""

    connections: Connections
    headers: Mapping[str, str]
    whole: bool


class Routes:
    """Ask web servers as the environment says; safe for threads."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._routes: dict[tuple[str, str], _Route] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        for route in self._routes.values():
            route.connections.close()

    @contextmanager
    def asked(self, url: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Send a GET, and lend its answer with the body unread; redirections are not followed.

        Raises Unaskable, OSError and HTTPException.
        """
        parts = _split(url)
        route = self._routes.get((parts.scheme, parts.netloc)) or self._found(parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if route.whole:
            target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{target}"
        target = quote(target, safe=_AS_IT_IS, errors="surrogateescape")
        with route.connections.asked(target, {**route.headers, **headers}) as answer:
            yield answer

    def _found(self, parts: SplitResult) -> _Route:
        server = (parts.scheme, parts.netloc)
        with self._lock:
            if server not in self._routes:
                self._routes[server] = self._looked_up(parts)
            return self._routes[server]

    def _looked_up(self, parts: SplitResult) -> _Route:
        host, port = _server_of(parts)
        login = _login_of(parts) or _login_in_netrc(host)
        headers = {"Authorization": login} if login else {}
        proxy = _proxy_for(parts.scheme, host, port)
        if proxy is None:
            return _Route(self._direct(parts.scheme, host, port), headers, whole=False)
        near, near_port = _server_of(proxy)
        pass_on = _login_of(proxy)
        told = {"Proxy-Authorization": pass_on} if pass_on else {}
        if parts.scheme == "http":
            way = self._direct("http", near, near_port)
            return _Route(way, {**headers, **told}, whole=True)
        return _Route(self._through((near, near_port), (host, port), told), headers, whole=False)

    def _direct(self, scheme: str, host: str, port: int) -> Connections:
        if scheme == "http":
            return Connections(lambda: self._open(PlainConnection(host, port)))
        trust = _trust()
        return Connections(lambda: self._open(SecureConnection(host, port, context=trust)))

    def _through(
        self, proxy: tuple[str, int], server: tuple[str, int], told: Mapping[str, str]
    ) -> Connections:
        trust = _trust()

        def connected() -> HTTPConnection:
            connection = SecureConnection(*proxy, context=trust)
            connection.set_tunnel(*server, headers=dict(told))
            return self._open(connection)

        return Connections(connected)

    def _open(self, connection: HTTPConnection) -> HTTPConnection:
        connection.timeout = self._waits.connect
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self._waits.silence)
        return connection


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise Unaskable("the address cannot be asked") from None


def _server_of(parts: SplitResult) -> tuple[str, int]:
    """Read host and port; raises Unaskable."""
    try:
        host, port = parts.hostname, parts.port
        named = (host or "").encode("idna").decode()
    except ValueError:
        raise Unaskable("the address cannot be asked") from None
    if parts.scheme not in _PORTS or not named or named.startswith(("*", ".")):
        raise Unaskable("the address cannot be asked")
    return named, port or _PORTS[parts.scheme]


def _login_of(parts: SplitResult) -> str | None:
    """Word the name and password of an address for a header."""
    if parts.username is None and parts.password is None:
        return None
    return _basic(unquote(parts.username or ""), unquote(parts.password or ""))


def _login_in_netrc(host: str) -> str | None:
    """Look a server up in the file that NETRC names, or ~/.netrc; what is no such file is none."""
    with suppress(OSError, RuntimeError, netrc.NetrcParseError, UnicodeDecodeError):
        path = os.environ.get("NETRC") or Path("~/.netrc").expanduser()
        found = netrc.netrc(str(path)).authenticators(host)
        if found and found[2] is not None:
            return _basic(found[0] or found[1] or "", found[2])
    return None


def _basic(name: str, password: str) -> str:
    return f"Basic {b64encode(f'{name}:{password}'.encode(errors='surrogateescape')).decode()}"


def _proxy_for(scheme: str, host: str, port: int) -> SplitResult | None:
    """Choose the proxy for a server; raises Unaskable for one of another kind than http."""
    proxies = getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    if not address or _is_near(host, port, proxies.get("no", "")):
        return None
    parts = _split(address if "://" in address else f"http://{address}")
    if parts.scheme != "http":
        raise Unaskable(f"its proxy is one of {parts.scheme}, and only those of http can be used")
    return parts


def _is_near(host: str, port: int, said: str) -> bool:
    """Tell whether no_proxy names a server: by its name or ending, or by a network."""
    if proxy_bypass(f"{host}:{port}"):
        return True
    for word in said.replace(",", " ").split():
        with suppress(ValueError):
            if ip_address(host) in ip_network(word.strip("[]"), strict=False):
                return True
    return False


def _trust() -> ssl.SSLContext:
    """Trust those authorities that the environment names, or else the system does."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        if named and Path(named).is_dir():
            return ssl.create_default_context(capath=named)
        return ssl.create_default_context(cafile=named or None)
    except OSError:
        raise Unaskable(f"the file of trusted authorities cannot be read: {named}") from None

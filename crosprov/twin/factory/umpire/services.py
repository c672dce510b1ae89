"""Umpire's services, of which the stand-in knows the ports at which they listen."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from crosprov.twin.factory import places
from crosprov.twin.factory.umpire.schema import SERVICES
from crosprov.twin.factory.umpire.store import UmpireError

# A service's ports, counted from Umpire's first, with what it says first to who comes.
_PLAIN: Mapping[str, Mapping[int, bytes]] = {
    "rsync": {4: b"@RSYNCD: 31.0\n"},
    "instalog": {6: b""},
    "dkps": {9: b""},
}
_CUSTOMIZED_OUTPUT = 8
_HTTP = "umpire_http"

Start = Callable[[], socketserver.BaseServer]


class Services:
    """The services of one Umpire; `http` starts the one that answers HTTP."""

    def __init__(self, http: Start) -> None:
        self._http = http
        self._running: dict[str, list[socketserver.BaseServer]] = {}
        self._lock = threading.RLock()

    def follow(self, config: Mapping[str, Any]) -> None:
        """Run what a configuration has active, and nothing else."""
        wanted = {name: own for name, own in config["services"].items() if own.get("active", True)}
        with self._lock:
            self.stop(set(self._running) - set(wanted))
            self.stop(name for name in ("instalog",) if self._is_other(name, wanted.get(name)))
            self.start(wanted, config)

    def start(self, names: Iterable[str], config: Mapping[str, Any]) -> None:
        """Start services that do not run. Raises UmpireError for a port in use or a bad name."""
        with self._lock:
            for name in names:
                _known(name)
                if name not in self._running:
                    self._running[name] = self._started(name, config["services"].get(name, {}))

    def stop(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in list(names):
                _known(name)
                for server in self._running.pop(name, []):
                    server.shutdown()
                    server.server_close()

    def _started(self, name: str, own: Mapping[str, Any]) -> list[socketserver.BaseServer]:
        servers: list[socketserver.BaseServer] = []
        try:
            if name == _HTTP:
                servers.append(self._http())
            for offset, greeting in _ports(name, own).items():
                servers.append(_listener(places.UMPIRE_BASE + offset, greeting))
        except OSError as error:
            for server in servers:
                server.server_close()
            raise UmpireError(f"service {name} cannot start: {error}") from None
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return servers

    def _is_other(self, name: str, own: Mapping[str, Any] | None) -> bool:
        running = self._running.get(name)
        return bool(running) and own is not None and len(running or ()) != len(_ports(name, own))


def _ports(name: str, own: Mapping[str, Any]) -> Mapping[int, bytes]:
    ports = dict(_PLAIN.get(name, {}))
    if name == "instalog" and own.get("customized_output", {}).get("enable"):
        ports[_CUSTOMIZED_OUTPUT] = b""
    return ports


def _known(name: str) -> None:
    if name not in SERVICES["properties"]:
        raise UmpireError(f"no service is named {name!r}")


def _listener(port: int, greeting: bytes) -> socketserver.BaseServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            connection.sendall(greeting)

    return Listener(("", port), Handler)


class Listener(socketserver.ThreadingTCPServer):
    """A TCP server whose port can be taken again at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

"""`umpired`: one project's Umpire, with XML-RPC and HTTP, until it is told to end."""

from __future__ import annotations

import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Sequence

from crosprov.twin.factory import places
from crosprov.twin.factory.exchange import Answer, Request, handler
from crosprov.twin.factory.umpire import calls
from crosprov.twin.factory.umpire.deployment import Deployment
from crosprov.twin.factory.umpire.services import Listener, Services
from crosprov.twin.factory.umpire.store import Store, bundle_of

_CLI_OFFSET = 2
_RPC_PATHS = ("/", "/RPC2", "/umpire")


class Front:
    """What Umpire's first port answers: XML-RPC of DUTs, resources, and the resource map."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._methods = calls.of_duts(store)

    def __call__(self, request: Request) -> Answer:
        if request.path in _RPC_PATHS:
            return _rpc(request, self._methods)
        if request.method not in ("GET", "HEAD"):
            return Answer(405, b"405 Not Allowed\n")
        if request.path.startswith("/res/"):
            return self._resource(request.path.removeprefix("/res/"))
        if request.path in ("/resourcemap", "/webapps/resourcemap"):
            return Answer(200, self._map().encode(), "text/plain")
        return Answer(404, b"404 Not Found\n")

    def _resource(self, name: str) -> Answer:
        try:
            path = self._store.path_of(name)
        except FileNotFoundError:
            return Answer(404, b"404 Not Found\n")
        return Answer(200, kind="application/octet-stream", stream=path.open("rb"))

    def _map(self) -> str:
        config = self._store.active()
        bundle = bundle_of(config, config["active_bundle_id"]) or {}
        lines = {
            "id": bundle.get("id"),
            "note": bundle.get("note"),
            "__token__": "00000001",
            "shop_floor_handler": "/umpire",
            "payloads": bundle.get("payloads"),
        }
        return "".join(f"{name}: {value}\n" for name, value in lines.items())


def _rpc(request: Request, methods: calls.Methods) -> Answer:
    if request.method != "POST":
        return Answer(405, b"405 Method Not Allowed\n")
    return Answer(200, calls.answered(methods, request.body.read()), "text/xml")


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    del arguments
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda number, frame: os._exit(0))
    store = Store(places.UMPIRES)
    store.prepare()
    services = Services(lambda: Listener(("", places.UMPIRE_BASE), handler(Front(store))))
    deployment = Deployment(store, services)
    methods = calls.of_command_line(store, deployment, services)
    port = places.UMPIRE_BASE + _CLI_OFFSET
    answer = handler(lambda request: _rpc(request, methods))
    server: socketserver.BaseServer = Listener(("", port), answer)
    deployment.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stderr.write(f"umpired: project {os.environ.get('UMPIRE_PROJECT_NAME')}, port {port}\n")
    sys.stderr.flush()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

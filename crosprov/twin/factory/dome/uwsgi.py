"""`uwsgi`: one worker that answers Dome's requests, one after the other, at a local socket."""

from __future__ import annotations

import contextlib
import os
import signal
import socketserver
import sys
from collections.abc import Sequence

from crosprov.twin.factory import faults, places
from crosprov.twin.factory.dome.application import Application
from crosprov.twin.factory.dome.context import Dome
from crosprov.twin.factory.exchange import handler


class _Server(socketserver.UnixStreamServer):
    request_queue_size = 100

    def get_request(self) -> tuple[object, tuple[str, int]]:  # type: ignore[override]
        connection, _ = super().get_request()
        return connection, ("", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or a hang that was ended, is no failure of the server."""
        sys.stderr.write(f"uwsgi: a request ended early: {sys.exc_info()[1]}\n")
        sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM, then remove the socket."""
    del arguments
    signal.signal(signal.SIGTERM, _end)
    if faults.wanted().fail_uwsgi:
        sys.stderr.write("uwsgi: the test asked for an end\n")
        return 1
    path = places.DOME_SOCKET
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = _Server(str(path), handler(Application(Dome())))
    os.chmod(path, 0o666)
    sys.stderr.write(f"uwsgi: Dome's stand-in listens at {path}\n")
    sys.stderr.flush()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            server.serve_forever(poll_interval=60)
        finally:
            path.unlink(missing_ok=True)
    return 0


def _end(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

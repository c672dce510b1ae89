"""`nginx`: passes requests on to uwsgi at Dome's socket, and says 502 when it is not there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Sequence

from crosprov.twin.factory import places

_IDLE = 1800.0
_HEAD = 65536
_NO_DOME = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>\n"


class _Handler(socketserver.StreamRequestHandler):
    timeout = _IDLE

    def handle(self) -> None:
        head = self._head()
        if not head:
            return
        with socket.socket(socket.AF_UNIX) as dome:
            dome.settimeout(_IDLE)
            try:
                dome.connect(str(places.DOME_SOCKET))
            except OSError as error:
                self._log(head, f"502 {error}")
                self._refuse()
                return
            self._log(head, "passed on")
            dome.sendall(head)
            threading.Thread(target=self._send, args=(dome,), daemon=True).start()
            with dome.makefile("rb", buffering=0) as answer:
                shutil.copyfileobj(answer, self.wfile)
            self.connection.shutdown(socket.SHUT_RDWR)

    def _head(self) -> bytes:
        """Read the request's line and headers; who asks is told by us, not by the client."""
        lines = []
        while (line := self.rfile.readline(_HEAD)) not in (b"\r\n", b"\n", b""):
            if not line.lower().startswith((b"x-standin-client:", b"connection:")):
                lines.append(line)
        if not lines:
            return b""
        lines += [b"X-Standin-Client: %s\r\n" % self.client_address[0].encode()]
        return b"".join((*lines, b"Connection: close\r\n\r\n"))

    def _send(self, dome: socket.socket) -> None:
        """Pass on the request's body as it comes, and that the client has gone away."""
        try:
            while piece := self.rfile.read1(_HEAD):
                dome.sendall(piece)
            dome.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            return

    def _refuse(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_NO_DOME), _NO_DOME)
        )

    def _log(self, head: bytes, what: str) -> None:
        line = head.split(b"\r\n", 1)[0].decode(errors="replace")
        sys.stderr.write(f'{self.client_address[0]} "{line}" {what}\n')
        sys.stderr.flush()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        sys.stderr.write(f"nginx: a request ended early: {sys.exc_info()[1]}\n")
        sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    del arguments
    for ending in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(ending, lambda number, frame: os._exit(0))
    server = _Server(("", places.HTTP_PORT), _Handler)
    sys.stderr.write(f"nginx: listens on {server.server_address[1]}\n")
    sys.stderr.flush()
    server.serve_forever(poll_interval=60)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

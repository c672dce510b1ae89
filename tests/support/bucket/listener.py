"""The HTTP side: connections, threads, the record of requests, and faults on the wire."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from . import faults, routes
from .access import ANONYMOUS, Identity
from .bodies import Body, ClientGone
from .call import Call, Reply
from .failures import ApiError

if TYPE_CHECKING:
    from .server import BucketServer

# Parameters that would change the answer and that nothing here looks at.
_UNKNOWN = ("matchGlob", "softDeleted", "filter", "kmsKeyName", "destinationKmsKeyName")
_IDLE = 120.0  # seconds that a connection may be silent


@dataclass(slots=True)
class Request:
    """Record a request: what came, who sent it, what went back.

    `path` is decoded. `received` and `sent` are bytes of the bodies; they grow while the
    request is under way. `status` is 0 until an answer begins.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    range: str | None
    identity: Identity = ANONYMOUS
    headers: Mapping[str, str] = field(default_factory=dict)
    received: int = 0
    sent: int = 0
    status: int = 0

    @property
    def is_download(self) -> bool:
        """Return whether the request was for an object's bytes."""
        api = routes.is_api(self.path)
        return self.method == "GET" and (not api or self.query.get("alt") == ["media"])


class Listener(ThreadingHTTPServer):
    """Listen on an address, a thread for each connection; `close` ends them all."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], server: BucketServer) -> None:
        self.served = server
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._closing = False
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def track(self, connection: socket.socket) -> None:
        """Remember an open connection; one that comes while closing is ended at once."""
        with self._guard:
            self._connections.add(connection)
            if self._closing:
                _hang_up(connection)

    def forget(self, connection: socket.socket) -> None:
        """Forget a connection that ends by itself."""
        with self._guard:
            self._connections.discard(connection)

    def hang_up(self) -> None:
        """End all connections, and each that comes after them."""
        with self._guard:
            self._closing = True
            for connection in self._connections:
                _hang_up(connection)

    def close(self) -> None:
        """End all connections, wait for their threads, and free the port."""
        self.hang_up()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what went wrong in the server itself, for the test to see."""
        self.served.broken.append(repr(sys.exception()))


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Serve the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "BucketForTests/1"
    disable_nagle_algorithm = True
    timeout = _IDLE
    server: Listener

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self.server.track(self.connection)

    def finish(self) -> None:
        """End a connection, whose other side may be gone."""
        self.server.forget(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        """Serve requests until one side ends the connection."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; requests are recorded instead."""

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        request = Request(
            self.command,
            unquote(path),
            parse_qs(query, keep_blank_values=True),
            self.headers.get("Range"),
            headers=dict(self.headers.items()),
        )
        self.server.served.requests.append(request)
        armed = self.server.served.faults.of(self.command, path, query)
        rule = armed.rule if armed else None
        try:
            if rule and rule.reset and rule.cut is None:
                raise faults.Cut(reset=True)
            body = Body(self.rfile, self.headers, self._counter(request, rule))
            reply = self._answer(request, path, body, rule)
            with contextlib.closing(reply):
                body.drain()
                self._send(request, faults.spoiled(rule, reply) if rule else reply, armed)
        except faults.Cut as cut:
            self.close_connection = True
            if cut.reset:
                self._reset()
        except ClientGone:
            self.close_connection = True

    def _counter(self, request: Request, rule: faults.Rule | None) -> Callable[[int], None]:
        def taken(count: int) -> None:
            request.received += count
            if rule and rule.cut_request is not None and request.received >= rule.cut_request:
                raise faults.Cut(reset=True)

        return taken

    def _answer(self, request: Request, path: str, body: Body, rule: faults.Rule | None) -> Reply:
        """Carry a request out; what is refused is a reply as well."""
        try:
            request.identity = self.server.served.tokens.identify(self.headers["Authorization"])
            replaced = faults.instead(rule) if rule else None
            if replaced is not None:
                return replaced
            if rule and rule.ignore_range:
                del self.headers["Range"]
            operation, names = routes.find(self.command, path)
            return operation(self._call(request, names, body))
        except ApiError as error:
            return _refusal(error, request, path)

    def _call(self, request: Request, names: Mapping[str, str], body: Body) -> Call:
        served = self.server.served
        if any(name.lower().startswith("x-goog-encryption-") for name in self.headers):
            raise ApiError(400, "This server for tests knows no keys of customers.")
        for key in _UNKNOWN:
            if request.query.get(key, [""])[-1].lower() not in ("", "false"):
                raise ApiError(400, f"This server for tests knows no {key}.")
        return Call(
            served.store,
            served.sessions,
            served.tokens,
            request.identity,
            self.command,
            names,
            request.query,
            self.headers,
            body,
            f"http://{self.headers.get('Host') or served.address}",
            served.write_interval,
        )

    def _send(self, request: Request, reply: Reply, armed: faults.Armed | None) -> None:
        bare = reply.status in (204, 304)
        chunked = reply.length is None and not bare
        request.status = reply.status
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not bare:
            self.send_header("Content-Length", str(reply.length))
        self.end_headers()
        if bare or self.command == "HEAD":
            return
        blocks = faults.sent_with(armed, reply.blocks()) if armed else reply.blocks()
        for block in blocks:
            request.sent += len(block)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """End the connection so that the other side sees a reset and no orderly end."""
        self.server.forget(self.connection)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


def _refusal(error: ApiError, request: Request, path: str) -> Reply:
    """Return an error in the form of the API that was spoken: JSON, plain text or XML."""
    headers = list(error.headers.items())
    if not routes.is_api(path):
        status = 403 if error.status == 401 else error.status
        kind, body = "application/xml; charset=UTF-8", error.xml_body()
        return Reply(status, [("Content-Type", kind), *headers], body)
    if request.is_download:
        kind, body = "text/html; charset=UTF-8", error.message.encode()
    else:
        kind, body = "application/json; charset=UTF-8", error.json_body()
    return Reply(error.status, [("Content-Type", kind), *headers], body)

"""One HTTP request and its answer, and the server that hands one to a function for the other."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

_IDLE = 60.0


class Body:
    """The bytes of a request's body that have not been read yet."""

    def __init__(self, source: BufferedIOBase, length: int) -> None:
        self._source = source
        self.left = length

    def read(self, size: int | None = None) -> bytes:
        """Return up to `size` bytes, all that is left by default; nothing at the end."""
        data = self._source.read(self.left if size is None else min(size, self.left))
        self.left = self.left - len(data) if data else 0
        return data


@dataclass(frozen=True)
class Request:
    """A request; its body is read by whoever wants it."""

    method: str
    path: str
    query: str
    headers: Message
    client: str
    body: Body
    is_abandoned: Callable[[], bool]


@dataclass(frozen=True)
class Answer:
    """An answer; a `stream` is sent after `body` and closed."""

    status: int
    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: BinaryIO | None = None


Answering = Callable[[Request], Answer]


class _Handler(BaseHTTPRequestHandler):
    """Answer one request per connection."""

    answering: Answering
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    server_version = "nginx"
    sys_version = ""

    def _respond(self) -> None:
        self.close_connection = True
        request = self._request()
        answer = self.answering(request)
        length = None if answer.stream else len(answer.body)
        self.send_response(answer.status)
        if answer.kind:
            self.send_header("Content-Type", answer.kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            if answer.stream:
                with answer.stream as stream:
                    shutil.copyfileobj(stream, self.wfile)
        if request.body.left:
            self._leave_nothing_unread()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _respond

    def _request(self) -> Request:
        target = urlsplit(self.path)
        address = self.client_address[0] if self.client_address else ""
        length = self.headers.get("Content-Length", "")
        return Request(
            method=self.command,
            path=unquote(target.path),
            query=target.query,
            headers=self.headers,
            client=self.headers.get("X-Standin-Client", address) or "",
            body=Body(self.rfile, int(length) if length.isdecimal() else 0),
            is_abandoned=lambda: _is_closed(self.connection),
        )

    def _leave_nothing_unread(self) -> None:
        """Read what is left of the body, or closing would reset the client's connection."""
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            while self.connection.recv(65536):
                pass

    def address_string(self) -> str:
        return self.headers.get("X-Standin-Client", "") if hasattr(self, "headers") else ""

    def log_message(self, format: str, *args: object) -> None:
        sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")
        sys.stderr.flush()


def handler(answering: Answering) -> type[BaseHTTPRequestHandler]:
    """Return a handler class for http.server that answers one request per connection."""
    return type("Handler", (_Handler,), {"answering": staticmethod(answering)})


def _is_closed(connection: socket.socket) -> bool:
    """Tell whether the client went away, also when it left bytes that nobody has read."""
    watch = select.poll()
    watch.register(connection, select.POLLRDHUP)
    return any(events for _, events in watch.poll(0))

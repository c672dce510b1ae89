"""Connections that are kept: when one is used again, and what a body may look like."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crosprov.mirror.connections import Answer
from crosprov.mirror.routes import Routes, Waits
from tests.support.serving import serving
from tests.support.waiting import until

BODY = bytes(range(256)) * 1000


class _Server(ThreadingHTTPServer):
    """Count the connections, and answer as the path says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.send_response(404 if self.path.startswith("/none") else 200)
        answer: dict[str, Callable[[], None]] = {
            "/chunked": self._chunked, "/cut": self._cut, "/open": self._open,
            "/leaves": self._leaves, "/none": lambda: self._whole(b"no such file"),
        }  # fmt: skip
        answer.get(self.path, lambda: self._whole(BODY))()

    def _whole(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _leaves(self) -> None:
        """Close the connection afterwards, without a word about it."""
        self._whole(BODY)
        self.close_connection = True

    def _chunked(self) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(BODY), 100_000):
            piece = BODY[start : start + 100_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000])
        self.close_connection = True

    def _open(self) -> None:
        """Send a body that ends with the connection."""
        self.end_headers()
        self.wfile.write(BODY)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with serving(_Server()) as server:
        yield server


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routes]:
    monkeypatch.delenv("http_proxy", raising=False)
    routes = Routes(Waits(connect=5.0, silence=5.0))
    yield routes
    routes.close()


def _received(answer: Answer, room: int = 70_000) -> bytes:
    body, place = b"", memoryview(bytearray(room))
    while count := answer.receive(place):
        body += place[:count]
    return body


@pytest.mark.parametrize("path", ["/whole", "/chunked", "/open"])
@pytest.mark.parametrize("room", [1000, len(BODY), len(BODY) + 1])
def test_every_byte_of_a_body_is_received(
    server: _Server, routes: Routes, path: str, room: int
) -> None:
    with routes.asked(server.url(path), {}) as answer:
        assert _received(answer, room) == BODY
        assert answer.receive(memoryview(bytearray(10))) == 0


def test_a_body_that_breaks_off_ends_early(server: _Server, routes: Routes) -> None:
    with routes.asked(server.url("/cut"), {}) as answer:
        assert _received(answer) == BODY[:1000]


# Which paths are asked in turn, and how many connections that takes.
TURNS = [
    (["/whole", "/whole", "/whole"], 1),
    (["/none", "/whole", "/none"], 1),  # short bodies that nobody read
    (["/chunked", "/whole"], 1),
    (["/leaves", "/whole", "/leaves", "/whole"], 3),
    (["/cut", "/whole"], 2),
    (["/open", "/whole"], 2),
]


@pytest.mark.parametrize(("paths", "connections"), TURNS)
def test_a_connection_is_used_again_where_that_is_safe(
    server: _Server, routes: Routes, paths: list[str], connections: int
) -> None:
    for path in paths:
        with routes.asked(server.url(path), {}) as answer:
            if answer.status == 200:
                assert _received(answer) in (BODY, BODY[:1000])
    assert server.connections == connections


def test_a_long_body_that_nobody_wants_is_not_waited_for(server: _Server, routes: Routes) -> None:
    for _ in range(2):
        with routes.asked(server.url("/whole"), {}) as answer:
            assert answer.status == 200
    assert server.connections == 2


def test_a_server_that_is_gone_is_an_error(routes: Routes) -> None:
    with serving(_Server()) as server:
        url = server.url("/whole")
    with pytest.raises((OSError, HTTPException)), routes.asked(url, {}):
        pass


class _Odd(_Handler):
    """Answer with what no server should."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/chunk"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            size = self.path.rpartition("=")[2].encode()
            self.wfile.write(b"%s\r\n%s\r\n0\r\n\r\n" % (size, BODY))
            self.close_connection = True
        elif self.path == "/talks":
            self.send_response(200)
            self._whole(BODY)
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            self.send_response(200)
            self._whole(BODY)


@pytest.fixture
def odd() -> Iterator[_Server]:
    server = _Server()
    server.RequestHandlerClass = _Odd
    server.asked = []  # type: ignore[attr-defined]
    with serving(server):
        yield server


@pytest.mark.parametrize("size", ["-1", "-99999999999999999999", "zz", "", "f" * 40])
def test_a_chunk_of_no_size_is_an_error_of_the_server(
    odd: _Server, routes: Routes, size: str
) -> None:
    with (
        pytest.raises((OSError, HTTPException)),
        routes.asked(odd.url(f"/chunk={size}"), {}) as answer,
    ):
        assert _received(answer, 1000) is None


def test_an_answer_that_nobody_asked_for_is_no_answer(odd: _Server, routes: Routes) -> None:
    with routes.asked(odd.url("/talks"), {}) as answer:
        assert _received(answer) == BODY
    until(lambda: _is_readable(routes))
    with routes.asked(odd.url("/whole"), {}) as answer:
        assert answer.status == 200 and _received(answer) == BODY
    assert odd.connections == 2


def _is_readable(routes: Routes) -> bool:
    (route,) = routes._routes.values()
    return bool(select.select([route.connections._idle[0].sock], [], [], 0)[0])

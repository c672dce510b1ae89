from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.machine import Machine

STUBS = Path(__file__).parent / "stubs"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host with the tools of a DUT, whose update engine is idle."""
    made = Machine(tmp_path)
    made.install(*STUBS.iterdir())
    (made.stubs / "engine").write_text("CURRENT_OP=UPDATE_STATUS_IDLE\nNEW_VERSION=0.0.0.0\n")
    return made


class Web:
    """A dev server: answers by path, without the query."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                body = web.answers.get(self.path.partition("?")[0])
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("ETag", f'"{hash(body)}"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            do_HEAD = do_GET  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    """A dev server that has staged what is asked for."""
    made = Web()
    made.answers["/is_staged"] = b"True"
    made.answers["/check_health"] = b"{}"
    try:
        yield made
    finally:
        made.close()

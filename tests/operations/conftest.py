from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.factory import Factory
from tests.support.machine import Machine
from tests.support.serving import serving

STUBS = Path(__file__).parent / "stubs"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host on which only its own directory is touched."""
    made = Machine(tmp_path)
    made.install(*(path for path in STUBS.iterdir() if path.is_file()))
    return made


@pytest.fixture
def etc_machine(tmp_path: Path) -> Machine:
    """A host with the real tools for accounts and an /etc of its own."""
    etc = tmp_path / "etc"
    for part in ("upper", "work"):
        (etc / part).mkdir(parents=True)
    made = Machine(tmp_path, etc=etc)
    made.install()
    if made.transport().run("true").status != 0:
        pytest.skip("overlay mounts need root and Linux")
    return made


class _Answers(BaseHTTPRequestHandler):
    """Answer /NUMBER with that status, everything else with 200."""

    def do_GET(self) -> None:
        word = self.path.strip("/")
        self.send_response(int(word) if word.isdigit() else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server on the loopback."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Answers)) as server:
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nothing listens, and nothing else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def factory(machine: Machine) -> Iterator[Factory]:
    """A factory server without projects, whose docker the machine has."""
    made = Factory(machine.root)
    made.equip(machine)
    yield made
    made.close()

"""Ask the dev server's application, without a socket or through one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette

from crosprov.devserver.app import create_app
from crosprov.devserver.assembly import assemble
from crosprov.devserver.failures import Refused
from crosprov.devserver.options import Options
from crosprov.devserver.stores import Store, open_store
from tests.support.waiting import until

BUILD = "eve-release/R120-15662.0.0"
PAYLOAD = bytes(range(256)) * 40
SECRET = b"not for you"


@dataclass(frozen=True)
class Reply:
    """Hold an answer whole; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        """Give the one line of an error."""
        assert self.headers["content-type"] == "text/plain; charset=utf-8"
        text = self.body.decode()
        assert text.endswith("\n") and "\n" not in text[:-1] and "Traceback" not in text
        return text[:-1]


def offline(source: str) -> Store:
    """Open local folders only: no test asks the internet."""
    if not source.startswith("/"):
        raise Refused(502, f"{source} is out of reach")
    return open_store(source)


@contextmanager
def application(static_dir: Path, **options: Any) -> Iterator[Starlette]:
    """Make the application over the real parts."""
    server = assemble(Options(static_dir=static_dir, **options), offline)
    try:
        yield create_app(server)
    finally:
        server.stager.close()


@dataclass(frozen=True)
class Question:
    """A request, as the application gets it."""

    path: str  # with the query, encoded
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(app: Starlette, question: Question | str) -> Reply:
    """Ask one question."""
    return ask_all(app, [question])[0]


def ask_all(app: Starlette, questions: Iterable[Question | str]) -> list[Reply]:
    """Ask one question after another."""

    async def run() -> list[Reply]:
        asked = [Question(one) if isinstance(one, str) else one for one in questions]
        return [await _answer(app, one) for one in asked]

    return asyncio.run(run())


async def _answer(app: Starlette, question: Question) -> Reply:
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": question.body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(_scope(question), receive, send)
    assert [message["type"] for message in messages[:2]] == HEAD_AND_BODY
    headers = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
    body = b"".join(message["body"] for message in messages[1:])
    return Reply(messages[0]["status"], headers, body)


HEAD_AND_BODY = ["http.response.start", "http.response.body"]


def _scope(question: Question) -> dict[str, Any]:
    path, _, query = question.path.partition("?")
    headers = {"host": "dev.example.com:8080", **question.headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": question.method,
        "scheme": "http",
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("192.0.2.7", 4711),
        "server": ("192.0.2.1", 8080),
    }


def fill(folder: Path) -> Path:
    """Make a static folder with a build and traps in it; gives the static folder."""
    root = folder / "static"
    build = root / BUILD
    build.mkdir(parents=True)
    (build / "stateful.tgz").write_bytes(PAYLOAD)
    (build / "empty").touch()
    (build / "a b%20ü").write_text("odd name")
    (build / "autotest").mkdir()
    (root / "eve-release" / "R99-9999.0.0").mkdir()
    (root / "eve-release" / "notes").mkdir()
    (root / ".incoming").mkdir()
    (root / ".incoming" / "half").write_bytes(SECRET)
    (folder / "secret").write_bytes(SECRET)
    (folder / "static-not").mkdir()
    (folder / "static-not" / "file").write_bytes(SECRET)
    (root / "out").symlink_to(folder / "secret")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (build / "update.gz").symlink_to(folder / "secret")
    (root / "latest").symlink_to(BUILD)
    os.mkfifo(root / "pipe")
    return root


@dataclass(frozen=True)
class Running:
    """Reach a dev server that runs as a process of its own."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """Give what it has logged."""
        return (self.folder / "log").read_text()

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        """Ask through a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            return exchange(connection, path, method, body, **headers)
        finally:
            connection.close()


def exchange(
    connection: HTTPConnection, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> Reply:
    """Ask through an open connection."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, named)
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, found, response.read())


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    """Run the program over folder/static on a free port of loopback."""
    command = [
        sys.executable, "-m", "crosprov.devserver", "--host", "127.0.0.1", "--port", "0",
        "--static_dir", str(folder / "static"), "--portfile", str(folder / "port"),
        "--pidfile", str(folder / "pid"), "--logfile", str(folder / "log"), *options,
    ]  # fmt: skip
    (folder / "port").unlink(missing_ok=True)
    process = subprocess.Popen(command)
    try:
        until(lambda: (folder / "port").exists() or process.poll() is not None)
        assert process.poll() is None
        yield Running(int((folder / "port").read_text()), folder, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

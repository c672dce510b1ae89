"""The dev server as a process: sockets, signals, and clients that misbehave."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.devserver.asking import (
    BUILD,
    PAYLOAD,
    SECRET,
    Running,
    exchange,
    fill,
    running,
)
from tests.support.waiting import until

LARGE = 32 * 1024 * 1024
ENDLESS = 1 << 40  # more than the buffers between two processes hold; nothing of it is on the disk


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("devserver")
    root = fill(folder)
    with (root / "large").open("wb") as file:
        file.truncate(LARGE - 8)
        file.seek(0, os.SEEK_END)
        file.write(b"the end.")
    with running(folder) as found:
        yield found


def test_a_large_file_arrives_whole_and_in_parts(server: Running) -> None:
    whole = server.ask("/static/large")
    assert whole.status == 200
    assert len(whole.body) == LARGE and whole.body.endswith(b"\0the end.")
    part = server.ask("/static/large", Range=f"bytes={LARGE - 8}-")
    assert (part.status, part.body) == (206, b"the end.")
    head = server.ask("/static/large", "HEAD")
    assert (head.headers["content-length"], head.body) == (str(LARGE), b"")


def test_a_connection_serves_many_requests(server: Running) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    for _ in range(3):
        assert exchange(connection, "/static/missing").status == 404
        assert exchange(connection, f"/static/{BUILD}/stateful.tgz").body == PAYLOAD
        assert exchange(connection, "/static/large", Range="bytes=7-9").body == b"\0\0\0"
        assert exchange(connection, "/static/large", "HEAD").body == b""
        assert exchange(connection, f"/static/{BUILD}/empty").body == b""
        assert exchange(connection, "/check_health").status == 200
    connection.close()


def test_requests_that_come_at_once_are_answered_in_order(server: Running) -> None:
    asked = b"".join(
        f"GET /static/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for name in ("large", "missing", "latest/stateful.tgz")
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(asked)
        client.shutdown(socket.SHUT_WR)
        got = _rest(client)
    assert [got.count(word) for word in (b"HTTP/1.1 200", b"HTTP/1.1 404")] == [2, 1]
    assert got.endswith(PAYLOAD) and b"the end.HTTP/1.1 404" in got


def _rest(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def test_clients_that_leave_or_dawdle_disturb_nobody(server: Running) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    leaving = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for client in (*slow, *leaving):
        client.sendall(b"GET /static/large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    for client in leaving:  # without a farewell, as when a device loses its power
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert len(server.ask("/static/large").body) == LARGE
    until(lambda: server.log.count("cut off") >= len(leaving))
    files = Path(f"/proc/{server.process.pid}/fd")
    for client in slow:
        assert _rest_of(client, LARGE - 1000)
    for client in (*idle, *slow):
        client.close()
    until(lambda: not _open(files, "static/large"))
    assert "Traceback" not in server.log


def _rest_of(client: socket.socket, count: int) -> bool:
    client.settimeout(20)
    while count > 0:
        piece = client.recv(1 << 20)
        assert piece
        count -= len(piece)
    return True


def _open(files: Path, name: str) -> bool:
    """Tell whether a process holds a file open."""
    for link in files.iterdir():
        try:
            if os.readlink(link).endswith(name):
                return True
        except FileNotFoundError:
            continue
    return False


def test_a_file_that_shrinks_cuts_the_answer(server: Running) -> None:
    file = server.folder / "static/shrinking"
    with file.open("wb") as out:
        out.truncate(ENDLESS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /static/shrinking HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10) == b"HTTP/1.1 2"
        os.truncate(file, 10)
        client.settimeout(20)
        try:
            assert len(_rest(client)) < ENDLESS
        except ConnectionResetError:
            pass  # also a way to say that not all has come
    until(lambda: "GET /static/shrinking 200 cut off" in server.log)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"nonsense\r\n\r\n", 400, b"not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, b"not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", 431, b"too long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, b"not HTTP/1.1"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", 405, b"PUT is not a method"),
        (b"GET /static/../../secret HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"no such file"),
        (b"GET http://x/static/secret HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"no such file"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"begins with /"),
    ],
)  # fmt: skip
def test_what_is_no_good_request_gets_a_sentence(
    server: Running, sent: bytes, status: int, words: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        got = _rest(client)
    assert got.startswith(f"HTTP/1.1 {status} ".encode())
    assert words in got and SECRET not in got


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as server:
        assert (tmp_path / "pid").read_text() == f"{server.process.pid}\n"
        waiting = socket.create_connection(("127.0.0.1", server.port))
        server.process.send_signal(number)
        assert server.process.wait(timeout=30) == 0
        waiting.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "static"]


def test_after_a_kill_it_starts_again(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        assert first.ask("/check_health").status == 200
    assert (tmp_path / "pid").exists()  # nobody was left to remove it
    (tmp_path / "static/.incoming").mkdir(exist_ok=True)
    (tmp_path / "static/.incoming/half").write_text("half")
    with running(tmp_path, "--port", str(first.port)) as second:
        assert second.port == first.port
        assert second.ask("/check_health").status == 200
        assert second.ask("/static/.incoming/half").status == 404


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--use_cache",), 2, "did you mean --use_cached?"),
        (("--static_dir", "/dev/null/x"), 1, "/dev/null/x"),
        (("--host", "192.0.2.1"), 1, "port 0 of 192.0.2.1"),
        (("--logfile", "/dev/null/log"), 1, "/dev/null/log"),
        (("--pidfile", "/dev/null/pid"), 1, "/dev/null"),
        (("--src_image", "x.bin"), 1, "--image"),
        (("--web_source", "https://x/../y"), 1, "https://x/../y is no folder of a web server"),
        (("--xbuddy_config", "/dev/null/x"), 1, "/dev/null/x cannot be read"),
    ],
)
def test_a_wrong_start_ends_with_a_sentence(
    tmp_path: Path, options: tuple[str, ...], status: int, words: str
) -> None:
    command = [sys.executable, "-m", "crosprov.devserver", "--port", "0", "--static_dir"]
    done = subprocess.run(
        [*command, str(tmp_path), *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done
    assert words in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_exit_does_the_work_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "cache/old").mkdir(parents=True)
    (tmp_path / "cache/file").touch()
    command = [sys.executable, "-m", "crosprov.devserver", "--exit", "--clear_cache"]
    done = subprocess.run([*command, "--static_dir", str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 0
    assert not list((tmp_path / "cache").iterdir())

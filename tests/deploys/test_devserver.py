"""The dev server that crosprov ships, run as a host runs it and asked over loopback."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from xml.etree import ElementTree

import pytest

from crosprov import devserver
from crosprov.devserver import server as program

BUILD = "eve-release/R120-15662.0.0"
URL = f"gs://bucket/{BUILD}"
PAYLOAD = bytes(range(256)) * 40


@dataclass(frozen=True)
class Reply:
    """Hold an answer whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> str:
        assert self.headers["Content-Type"] == "application/json"
        return str(json.loads(self.body)["error"])


@dataclass(frozen=True)
class Running:
    """Reach the server that a fixture started."""

    port: int
    root: Path

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response: HTTPResponse = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def start(tmp_path: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start the program on a free port; its port is in the file `port`."""
    return subprocess.Popen(
        [
            sys.executable, "-I", str(program.__file__), "--port", "0",
            "--static_dir", str(tmp_path / "static"), "--portfile", str(tmp_path / "port"),
            "--pidfile", str(tmp_path / "pid"), "--logfile", str(tmp_path / "log"), *options,
        ]
    )  # fmt: skip


def port_of(tmp_path: Path, process: subprocess.Popen[bytes]) -> int:
    """Wait until the program has written its port."""
    deadline = time.monotonic() + 60
    while not (tmp_path / "port").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return int((tmp_path / "port").read_text())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("devserver")
    root = folder / "static"
    build = root / BUILD
    build.mkdir(parents=True)
    (build / "stateful.tgz").write_bytes(PAYLOAD)
    (build / "empty").touch()
    (build / "a b%20ü").write_text("odd name")
    (root / "eve-release" / "R99-9999.0.0").mkdir()
    (root / "eve-release" / "notes").mkdir()
    (folder / "secret").write_text("not for you")
    (folder / "static-not").mkdir()
    (folder / "static-not" / "file").write_text("not for you")
    (root / "out").symlink_to(folder / "secret")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (build / "update.gz").symlink_to(folder / "secret")
    (root / "latest").symlink_to(BUILD)
    os.mkfifo(root / "pipe")
    process = start(folder)
    try:
        yield Running(port_of(folder, process), root)
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_the_program_is_one_file_of_python_3_9_and_the_standard_library() -> None:
    tree = ast.parse(devserver.source(), feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_health_is_json_of_numbers(running: Running) -> None:
    reply = running.ask("/check_health")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    report = json.loads(reply.body)
    assert report["free_disk"] > 0
    assert all(isinstance(value, int | float) for value in report.values())


def test_the_front_page_lists_the_calls(running: Running) -> None:
    assert b"Welcome to the Dev Server!" in running.ask("/").body
    listed = json.loads(running.ask("/", Accept="application/json").body)["calls"]
    assert listed == ["check_health", "is_staged", "latestbuild", "list_image_dir", "update"]


@pytest.mark.parametrize(
    "path",
    [
        f"/static/{BUILD}/stateful.tgz",
        f"/static//{BUILD}/./stateful.tgz",
        "/static/latest/stateful.tgz",
        "/%73tatic/latest/stateful%2Etgz?query=ignored",
    ],
)
def test_a_file_is_served_whole(running: Running, path: str) -> None:
    reply = running.ask(path)
    assert (reply.status, reply.body) == (200, PAYLOAD)
    assert reply.headers["Content-Length"] == str(len(PAYLOAD))
    head = running.ask(path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(PAYLOAD))
    assert head.headers["ETag"] == reply.headers["ETag"]


def test_odd_names_and_empty_files_are_served(running: Running) -> None:
    assert running.ask(f"/static/{BUILD}/a%20b%2520%C3%BC").body == b"odd name"
    empty = running.ask(f"/static/{BUILD}/empty")
    assert (empty.status, empty.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        f"/static/{BUILD}",
        f"/static/{BUILD}/",
        f"/static/{BUILD}/missing",
        f"/static/{BUILD}/stateful.tgz/below",
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static/%2e%2e%2f%2e%2e%2fetc/passwd",
        f"/static/{BUILD}/../../../../secret",
        "/static/../static-not/file",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/out",
        "/static/up/secret",
        "/static/up/static-not/file",
        "/static/latest/update.gz",
        "/static/loop",
        "/static/pipe",
        f"/static/{'x' * 300}",
        "/static/" + "x/" * 3000,
        "/static/%ff%fe",
        "/nothing",
        "/check_health/below",
    ],
)
def test_nothing_else_is_served(running: Running, path: str) -> None:
    reply = running.ask(path)
    assert reply.status == 404
    assert reply.error
    assert b"not for you" not in reply.body and b"Traceback" not in reply.body


def test_a_nul_is_refused(running: Running) -> None:
    assert running.ask("/static/a%00b").status == 400
    assert running.ask("/latestbuild?target=a%00b").status == 400


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=100-", 100, len(PAYLOAD)),
        ("bytes=-7", len(PAYLOAD) - 7, len(PAYLOAD)),
        ("bytes=-999999", 0, len(PAYLOAD)),
        (f"bytes=10-{10**12}", 10, len(PAYLOAD)),
    ],
)
def test_a_range_is_served(running: Running, header: str, start: int, end: int) -> None:
    reply = running.ask(f"/static/{BUILD}/stateful.tgz", Range=header)
    assert (reply.status, reply.body) == (206, PAYLOAD[start:end])
    assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(PAYLOAD)}"


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-5", "bytes=-", "x"])
def test_a_range_that_is_not_understood_gives_the_whole(running: Running, header: str) -> None:
    reply = running.ask(f"/static/{BUILD}/stateful.tgz", Range=header)
    assert (reply.status, reply.body) == (200, PAYLOAD)


@pytest.mark.parametrize("name", ["stateful.tgz", "empty"])
def test_a_range_behind_the_end_is_refused(running: Running, name: str) -> None:
    reply = running.ask(f"/static/{BUILD}/{name}", Range=f"bytes={len(PAYLOAD)}-")
    assert reply.status == 416
    assert reply.headers["Content-Range"].startswith("bytes */")


def test_a_known_version_is_not_sent_again(running: Running) -> None:
    path = f"/static/{BUILD}/stateful.tgz"
    seen = running.ask(path).headers
    assert running.ask(path, If_None_Match=seen["ETag"]).status == 304
    assert running.ask(path, If_None_Match=f'"x", W/{seen["ETag"]}').status == 304
    assert running.ask(path, If_None_Match="*").status == 304
    assert running.ask(path, If_None_Match='"other"').status == 200
    assert running.ask(path, If_Modified_Since=seen["Last-Modified"]).status == 304
    assert running.ask(path, If_Modified_Since="nonsense").status == 200
    assert running.ask(path, Range="bytes=0-1", If_Range=seen["ETag"]).status == 206
    assert running.ask(path, Range="bytes=0-1", If_Range='"other"').status == 200


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (f"archive_url={URL}&artifacts=stateful", "True"),
        (f"archive_url={URL}/&artifacts=stateful&files=stateful.tgz,empty", "True"),
        (f"archive_url={URL}&artifacts=stateful,firmware", "False"),
        (f"archive_url={URL}&files=missing", "False"),
        (f"archive_url={URL}&artifacts=full_payload", "False"),  # a link that leads out
        ("archive_url=gs://bucket/no/such&files=x", "False"),
    ],
)
def test_is_staged(running: Running, query: str, answer: str) -> None:
    text = running.ask(f"/is_staged?{query}")
    assert (text.status, text.body.decode()) == (200, answer)
    as_json = running.ask(f"/is_staged?{query}", Accept="application/json")
    assert json.loads(as_json.body) == {"staged": answer == "True"}


def test_a_build_may_be_named_by_its_folder(running: Running) -> None:
    reply = running.ask(f"/is_staged?local_path={running.root}/{BUILD}&files=stateful.tgz")
    assert reply.body == b"True"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/is_staged?artifacts=stateful", 400, "archive_url and local_path"),
        (f"/is_staged?archive_url={URL}&local_path=/x&files=a", 400, "archive_url and local_path"),
        ("/is_staged?archive_url=http://x/y&files=a", 400, "isn't from Google Storage"),
        ("/is_staged?archive_url=gs://bucket&files=a", 400, "no build"),
        (f"/is_staged?archive_url={URL}", 400, "name artifacts or files"),
        (f"/is_staged?archive_url={URL}&artifacts=nonsense", 400, "no artifact nonsense"),
        (f"/is_staged?archive_url={URL}&files=../x", 400, "not the name of a file"),
        ("/is_staged?archive_url=gs://b/../../x&files=a", 404, "leads out"),
        ("/is_staged?local_path=/etc&files=passwd", 400, "not below the static folder"),
        ("/list_image_dir?archive_url=gs://b/up/static-not", 404, "leads out"),
        ("/latestbuild", 400, "name a target"),
        ("/latestbuild?target=none", 404, "no target none"),
        ("/latestbuild?target=../..", 404, "leads out"),
        ("/latestbuild?target=eve-release&milestone=R1", 404, "no build of milestone R1"),
        (f"/stage?archive_url={URL}&artifacts=stateful", 501, "does not stage"),
        ("/update", 405, "POST"),
        ("/update/some/label", 405, "POST"),
    ],
)
def test_a_wrong_question_gets_a_sentence(
    running: Running, path: str, status: int, words: str
) -> None:
    reply = running.ask(path)
    assert reply.status == status
    assert words in reply.error


def test_a_build_is_listed(running: Running) -> None:
    text = running.ask(f"/list_image_dir?archive_url={URL}").body.decode()
    assert text.startswith("Listing contents of :")
    assert "Name: stateful.tgz " in text and f"Size: {len(PAYLOAD)} bytes." in text
    assert "update.gz" not in text
    gone = running.ask("/list_image_dir?archive_url=gs://b/none/R1")
    assert gone.body == b"gs://b/none/R1 has not been staged on this devserver."
    listed = running.ask(f"/list_image_dir?archive_url={URL}", Accept="application/json")
    names = [file["name"] for file in json.loads(listed.body)["files"]]
    assert names == ["a b%20ü", "empty", "stateful.tgz"]


def test_the_latest_build_is_by_number_not_by_text(running: Running) -> None:
    assert running.ask("/latestbuild?target=eve-release").body == b"R120-15662.0.0"
    assert running.ask("/latestbuild?target=eve-release&milestone=R99").body == b"R99-9999.0.0"


V3 = (
    b'<?xml version="1.0" encoding="UTF-8"?><request protocol="3.0"><os version="x"/>'
    b'<app appid="{ABC&amp;}"><ping active="1"/><updatecheck/><event eventtype="3"/></app>'
    b"</request>"
)
V2 = (
    b'<o:gupdate xmlns:o="http://www.google.com/update2/request" protocol="2.0">'
    b'<o:app appid="{X}"><o:ping active="0"/><o:updatecheck/></o:app></o:gupdate>'
)


@pytest.mark.parametrize("path", ["/update", f"/update/{BUILD}", "/update?critical_update=True"])
@pytest.mark.parametrize(
    ("request_", "root", "space", "protocol", "app", "answers"),
    [
        (V3, "response", "", "3.0", "{ABC&}",
         [("ping", "ok"), ("updatecheck", "noupdate"), ("event", "ok")]),
        (V2, "gupdate", "{http://www.google.com/update2/response}", "2.0", "{X}",
         [("ping", "ok"), ("updatecheck", "noupdate")]),
    ],
)  # fmt: skip
def test_there_is_never_an_update(
    running: Running,
    path: str,
    request_: bytes,
    root: str,
    space: str,
    protocol: str,
    app: str,
    answers: list[tuple[str, str]],
) -> None:
    reply = running.ask(path, "POST", request_)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    answer = ElementTree.fromstring(reply.body)
    assert (answer.tag, answer.get("protocol")) == (f"{space}{root}", protocol)
    assert 0 <= int(answer[0].get("elapsed_seconds", "")) < 86402
    found = answer.find(f"{space}app")
    assert found is not None and found.get("appid") == app
    assert [(part.tag.removeprefix(space), part.get("status")) for part in found] == answers


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML"),
        (b"hello", "not XML"),
        (b"<request/>", "neither of Omaha"),
        (b'<request protocol="9"/>', "neither of Omaha"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><request protocol="3.0"/>', "document type"),
    ],
)
def test_a_wrong_update_request_gets_a_sentence(running: Running, body: bytes, words: str) -> None:
    reply = running.ask("/update", "POST", body)
    assert reply.status == 400
    assert words in reply.error


def test_an_endless_request_is_refused(running: Running) -> None:
    assert running.ask("/update", "POST", None, Content_Length=str(10**9)).status == 413
    assert running.ask("/update", "POST", None, Content_Length="-1").status == 411


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "NONSENSE"])
def test_other_methods_are_refused_in_json(running: Running, method: str) -> None:
    reply = running.ask("/", method)
    assert reply.status == 501
    assert "GET, HEAD and POST" in reply.error


def test_a_connection_serves_many_requests(running: Running) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=20)
    for _ in range(3):
        connection.request("GET", "/static/missing")
        assert connection.getresponse().read().startswith(b'{"error"')
        connection.request("GET", f"/static/{BUILD}/stateful.tgz")
        assert connection.getresponse().read() == PAYLOAD
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    try:
        port_of(tmp_path, process)
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "static"]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--use_cached",), 2, "unrecognized arguments: --use_cached"),
        (("--port", "70000"), 2, "between 0 and 65535"),
        (("--static_dir", "/dev/null/x"), 1, "/dev/null/x"),
        (("--host", "192.0.2.1"), 1, "port 0"),
    ],
)
def test_a_wrong_start_ends_with_a_sentence(
    tmp_path: Path, options: tuple[str, ...], status: int, words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(program.__file__), "--port", "0",
         "--static_dir", str(tmp_path), *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert words in done.stderr and "Traceback" not in done.stderr

"""Ten thousand requests that nobody would write: each gets an answer, none a file from outside."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from crosprov.devserver.artifacts import ARTIFACTS
from crosprov.devserver.rpc import ABSENT, RPCS
from tests.devserver.asking import (
    BUILD,
    SECRET,
    Question,
    Running,
    application,
    ask_all,
    fill,
    running,
)
from tests.support.waiting import until

AT_ONCE = 50  # questions of one example

ODD = (
    "..", ".", "", "%2e%2e", "..%2f", "%2fetc%2fpasswd", "%00", "%ff", "up", "out", "latest",
    "static-not", "secret", ".incoming", "half", "loop", "pipe", "autotest", "x" * 300, "%0d%0a",
    "R120-15662.0.0", "eve-release", "stateful.tgz", "update.gz", "local", "remote", "eve", "\\",
    "full_payload", "<script>", "%25", "~", "*", "?", "#", "http:", "[::1", "xbuddy",
)  # fmt: skip
NAMES = ("static", "doc", "index", "", *RPCS, *ABSENT)
KEYS = (*sorted({word for rpc in RPCS.values() for word in rpc.parameters}), "z")
VALUES = (
    f"gs://bucket/{BUILD}", "gs://", "https://[", f"http://127.0.0.1:9/{BUILD}", "/etc", "True",
    "-1", "R120", *sorted(ARTIFACTS),
)  # fmt: skip
HEADERS = ("range", "host", "if-range", "if-none-match", "if-modified-since", "x-forwarded-host",
           "content-length", "content-type")  # fmt: skip
CONTENTS = ("bytes=1-", "bytes=-5", "*", "0", "99999999999999999999", "a:b:c", "-1",
            "application/x-www-form-urlencoded", "Sun, 06 Nov 1994 08:49:37 GMT")  # fmt: skip
BODIES = (
    b"",
    b'<request protocol="3.0"><app appid="{A}" version="1.2" board="eve"><updatecheck/></app>'
    b"</request>",
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><request protocol="3.0">&b;</request>',
    b"<a>" * 5000,
)
METHODS = (*["GET"] * 12, *["POST"] * 4, "HEAD", "HEAD", "PUT", "BREW")


# Made by hand: to let hypothesis draw each word takes ten times longer than to answer them all.
def path_of(chance: Random) -> str:
    steps = [chance.choice(ODD) for _ in range(chance.randrange(6))]
    return "/".join(["", chance.choice(NAMES), *steps])


def question_of(chance: Random) -> Question:
    """Make up a request."""
    query = "&".join(f"{chance.choice(KEYS)}={_value(chance)}" for _ in range(chance.randrange(6)))
    headers = {chance.choice(HEADERS): _content(chance) for _ in range(chance.choice((0, 0, 1, 3)))}
    body = chance.choice((*BODIES, chance.randbytes(chance.randrange(60))))
    return Question(f"{path_of(chance)}?{query}", chance.choice(METHODS), body, headers)


def _value(chance: Random) -> str:
    text = _text(chance, 0x3000, 12)
    return chance.choice((chance.choice(ODD), chance.choice(VALUES), quote(text)))


def _content(chance: Random) -> str:
    return chance.choice((chance.choice(CONTENTS), _text(chance, 256, 30)))


def _text(chance: Random, end: int, most: int) -> str:
    return "".join(chr(chance.randrange(32, end)) for _ in range(chance.randrange(most)))


chances = st.randoms(use_true_random=True)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    with application(fill(tmp_path_factory.mktemp("devserver"))) as made:
        yield made


@settings(
    max_examples=10_000 // AT_ONCE,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(chances)
def test_every_question_is_answered(app: Starlette, chance: Random) -> None:
    asked = [question_of(chance) for _ in range(AT_ONCE)]
    for question, reply in zip(asked, ask_all(app, asked), strict=True):
        # 501: a call of other dev servers; 502: the archive is out of reach in a test.
        assert reply.status < 500 or reply.status in (501, 502), (question, reply)
        assert reply.status in (302, 304) or not 300 <= reply.status < 400, (question, reply)
        assert SECRET not in reply.body and b"root:" not in reply.body, question
        assert b"Traceback" not in reply.body, question
        if reply.status >= 400 and question.method != "HEAD":
            assert reply.sentence, question


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("devserver")
    fill(folder)
    with running(folder) as found:
        yield found


lines = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda method, path, rest: f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + rest,
        st.sampled_from(METHODS),
        st.one_of(chances.map(path_of), st.text(max_size=20)),
        st.one_of(
            st.just(b"\r\n"),
            st.just(b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            st.just(b"Content-Length: 5\r\n\r\nab"),
            st.just(b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab"),
            st.just(b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            st.binary(max_size=60),
        ),
    ),
)


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(lines)
def test_any_bytes_are_answered_or_the_connection_ends(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        got = b""
        while piece := client.recv(65536):
            got += piece
    assert not got or got.startswith(b"HTTP/1.1 ")
    assert not got.startswith(b"HTTP/1.1 500") and SECRET not in got and b"Traceback" not in got


def test_the_server_is_well_afterwards(server: Running) -> None:
    assert server.ask("/check_health").status == 200
    until(lambda: "check_health 200" in server.log)
    assert "Traceback" not in server.log

"""Downloads from the bucket server: ranges, encodings, the public form, faults on the way."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption

from tests.support.bucket import BucketServer, Rule

DATA = bytes(range(256)) * 1000


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        found.headers["Accept-Encoding"] = "identity"
        yield found


def _url(server: BucketServer, form: str) -> str:
    if form == "json":
        return f"{server.endpoint}/download/storage/v1/b/b/o/dir%2Fo?alt=media"
    return f"{server.endpoint}/b/dir/o"


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        (None, 200, (0, 256_000)),
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=255999-", 206, (255_999, 256_000)),
        ("bytes=0-", 206, (0, 256_000)),
        ("bytes=100-999999", 206, (100, 256_000)),
        ("bytes=-6", 206, (255_994, 256_000)),
        ("bytes=-999999", 206, (0, 256_000)),
        ("bytes=256000-", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
        ("bytes=5-3", 416, (0, 0)),
        ("bytes=0-1,5-6", 200, (0, 256_000)),
        ("lines=1-2", 200, (0, 256_000)),
    ],
)
def test_ranges(
    server: BucketServer,
    session: requests.Session,
    form: str,
    asked: str | None,
    status: int,
    span: tuple[int, int],
) -> None:
    server.put("b", "dir/o", DATA)
    headers = {"Range": asked} if asked else {}
    answer = session.get(_url(server, form), headers=headers, timeout=20)
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["Content-Range"] == "bytes */256000"
        return
    assert answer.content == DATA[slice(*span)]
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/256000"
    assert server.requests[-1].range == asked
    assert server.requests[-1].sent == len(answer.content)
    assert server.downloads("b", "dir/o") == server.requests


@pytest.mark.parametrize("form", ["json", "xml"])
def test_headers_of_a_download(server: BucketServer, session: requests.Session, form: str) -> None:
    version = server.put("b", "dir/o", DATA, contentType="text/x", cacheControl="no-store")
    answer = session.get(_url(server, form), timeout=20)
    sums = f"crc32c={version.content.crc32c},md5={version.content.md5}"
    assert answer.headers["X-Goog-Hash"].replace(", ", ",") == sums
    assert answer.headers["X-Goog-Generation"] == str(version.generation)
    assert answer.headers["Content-Type"] == "text/x"
    assert answer.headers["Cache-Control"] == "no-store"
    again = {"If-None-Match": answer.headers["ETag"]}
    assert session.get(_url(server, form), headers=again, timeout=20).status_code == 304
    bare = session.head(_url(server, form), timeout=20)
    assert (bare.headers["Content-Length"], bare.content) == ("256000", b"")


@pytest.mark.parametrize(("same", "status"), [(True, 206), (False, 200)])
def test_a_part_of_another_version_is_not_sent(
    server: BucketServer, session: requests.Session, same: bool, status: int
) -> None:
    server.put("b", "dir/o", DATA)
    etag = session.head(_url(server, "xml"), timeout=20).headers["ETag"]
    if not same:
        server.put("b", "dir/o", DATA[::-1])
    headers = {"Range": "bytes=5-", "If-Range": etag}
    answer = session.get(_url(server, "xml"), headers=headers, timeout=20)
    assert answer.status_code == status
    assert len(answer.content) == len(DATA) - (5 if same else 0)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/b/none", 404, "NoSuchKey"),
        ("/none/o", 404, "NoSuchBucket"),
        ("/closed/o", 403, "AccessDenied"),
        ("/closed/none", 403, "AccessDenied"),
    ],
)
def test_errors_of_the_public_form(
    server: BucketServer, session: requests.Session, path: str, status: int, code: str
) -> None:
    server.bucket("b")
    server.bucket("closed", public=False)
    server.put("closed", "o", b"secret")
    answer = session.get(server.endpoint + path, timeout=20)
    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True)


@pytest.mark.parametrize(
    ("accepted", "cache", "stored"),
    [("identity", "", False), ("gzip", "", True), ("identity", "no-transform", True)],
)
def test_what_is_stored_compressed(
    server: BucketServer, session: requests.Session, accepted: str, cache: str, stored: bool
) -> None:
    packed = gzip.compress(DATA)
    server.put("b", "dir/o", packed, contentEncoding="gzip", cacheControl=cache)
    answer = session.get(
        _url(server, "json"), headers={"Accept-Encoding": accepted}, stream=True, timeout=20
    )
    with answer:
        sent = answer.raw.read(decode_content=False)
    assert sent == (packed if stored else DATA)
    assert answer.headers.get("Content-Encoding") == ("gzip" if stored else None)
    assert answer.headers["X-Goog-Stored-Content-Encoding"] == "gzip"


def test_the_client_reads_what_is_stored_compressed(server: BucketServer, anonymous: Any) -> None:
    packed = gzip.compress(DATA)
    server.put("b", "o", packed, contentEncoding="gzip")
    blob = anonymous.bucket("b").blob("o")
    assert blob.download_as_bytes() == DATA
    assert blob.download_as_bytes(raw_download=True) == packed


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (Rule(path="/o$", cut=1000), requests.exceptions.ChunkedEncodingError),
        (Rule(path="/o$", cut=0), requests.exceptions.ChunkedEncodingError),
        (Rule(path="/o$", cut=1000, reset=True), requests.exceptions.RequestException),
        (Rule(path="/o$", reset=True), requests.exceptions.RequestException),
        (Rule(path="/o$", corrupt=200_000), DataCorruption),
        (Rule(path="/o$", wrong_hash=True), DataCorruption),
        (Rule(path="/o$", status=429), exceptions.TooManyRequests),
        (Rule(path="/o$", status=500), exceptions.InternalServerError),
        (Rule(path="/o$", status=503, retry_after=1), exceptions.ServiceUnavailable),
        (Rule(path="/o$", status=403), exceptions.Forbidden),
        (Rule(path="/o$", status=404), exceptions.NotFound),
    ],
)
def test_faults(server: BucketServer, anonymous: Any, rule: Rule, error: type[Exception]) -> None:
    server.put("b", "o", DATA)
    server.fail(rule)
    blob = anonymous.bucket("b").blob("o")
    with pytest.raises(error):
        blob.download_as_bytes(retry=None)
    assert blob.download_as_bytes(retry=None) == DATA


@pytest.mark.parametrize(
    ("rule", "status", "content_range", "data"),
    [
        (Rule(shift=7), 206, "bytes 17-26/256000", DATA[17:27]),
        (Rule(ignore_range=True), 200, None, DATA),
        (Rule(html=True), 200, None, b"<!DOCTYPE html>"),
        (Rule(corrupt=0), 206, "bytes 10-19/256000", b"\xf5" + DATA[11:20]),
    ],
)
def test_faults_of_ranges(
    server: BucketServer,
    session: requests.Session,
    rule: Rule,
    status: int,
    content_range: str | None,
    data: bytes,
) -> None:
    server.put("b", "dir/o", DATA)
    server.fail(rule)
    headers = {"Range": "bytes=10-19"}
    answer = session.get(_url(server, "xml"), headers=headers, timeout=20)
    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    assert answer.content.startswith(data)


def test_the_nth_and_so_many_are_hit(server: BucketServer, session: requests.Session) -> None:
    server.put("b", "dir/o", DATA)
    armed = server.fail(Rule(path="^/b/", nth=2, times=2, status=500))
    answers = [session.get(_url(server, "xml"), timeout=20).status_code for _ in range(5)]
    assert answers == [200, 500, 500, 200, 200]
    assert (armed.seen, armed.hit) == (5, 2)


def test_a_download_is_held_until_it_is_released(
    server: BucketServer, session: requests.Session
) -> None:
    server.put("b", "dir/o", DATA)
    armed = server.fail(Rule(stall=100_000))
    found: list[bytes] = []
    reader = threading.Thread(
        target=lambda: found.append(session.get(_url(server, "xml"), timeout=20).content)
    )
    reader.start()
    armed.wait()
    assert not found
    armed.release()
    reader.join(20)
    assert found == [DATA]


def test_a_rate_is_kept(server: BucketServer, session: requests.Session) -> None:
    server.put("b", "dir/o", DATA)
    server.fail(Rule(rate=2 * len(DATA)))
    begun = time.monotonic()
    answer = session.get(_url(server, "xml"), timeout=20)
    assert answer.content == DATA
    assert time.monotonic() - begun >= 0.5


def test_the_end_of_the_server_ends_what_is_stalled(
    server: BucketServer, session: requests.Session
) -> None:
    server.put("b", "dir/o", DATA)
    armed = server.fail(Rule(stall=100_000))
    failed: list[Exception] = []

    def read() -> None:
        try:
            session.get(_url(server, "xml"), timeout=20)
        except requests.exceptions.RequestException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    armed.wait()
    server.close()
    reader.join(20)
    assert len(failed) == 1

"""Uploads to the bucket server: every kind, checked, cut off, and resumed."""

from __future__ import annotations

import base64
import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.retry import DEFAULT_RETRY
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bucket import BucketServer, Rule
from tests.support.bucket.checksums import extend_in_python

GRANULE = 256 * 1024
URL = "/upload/storage/v1/b/b/o"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_crc32c_is_the_one_of_google(first: bytes, second: bytes) -> None:
    found = extend_in_python(extend_in_python(0, first), second)
    assert found == google_crc32c.value(first + second)


@pytest.mark.parametrize("size", [0, 1, GRANULE - 1, GRANULE, GRANULE + 1, 5 * GRANULE + 17])
@pytest.mark.parametrize("chunk", [None, GRANULE, 2 * GRANULE])
def test_what_is_uploaded_is_there(
    server: BucketServer, owner: Any, size: int, chunk: int | None
) -> None:
    data = bytes(number % 251 for number in range(size))
    server.bucket("b")
    blob = owner.bucket("b").blob("o", chunk_size=chunk)
    blob.metadata = {"key": "value"}
    known = size if chunk is None else None  # the client sends what is short in one request
    blob.upload_from_file(io.BytesIO(data), content_type="text/x", size=known)
    again = owner.bucket("b").get_blob("o")
    assert server.read("b", "o") == data
    assert (again.content_type, again.metadata, again.size) == ("text/x", {"key": "value"}, size)
    assert again.md5_hash == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert again.download_as_bytes() == data


def test_a_stream_of_unknown_length(server: BucketServer, owner: Any) -> None:
    server.bucket("b")
    with owner.bucket("b").blob("o").open("wb", chunk_size=GRANULE) as file:
        for _ in range(5):
            file.write(b"0123456789" * 20_000)
    assert server.read("b", "o") == b"0123456789" * 100_000


@pytest.mark.parametrize("delimiter", [b"\r\n--", b"--==", b"\r\n", b"\r"])
def test_media_may_look_like_an_end(server: BucketServer, owner: Any, delimiter: bytes) -> None:
    server.bucket("b")
    data = delimiter * 40_000
    owner.bucket("b").blob("o").upload_from_string(data)
    assert server.read("b", "o") == data


def _post(server: BucketServer, path: str, body: Any, **headers: str) -> requests.Response:
    given = {"Authorization": f"Bearer {server.owner}", **headers}
    return requests.post(server.endpoint + path, data=body, headers=given, timeout=20)


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("uploadType=media&name=o", {}, 200),
        ("uploadType=media&name=o", {"Content-MD5": "kAFQmDzST7DWlj99KOF/cg=="}, 200),
        ("uploadType=media&name=o", {"X-Goog-Hash": "crc32c=Nks/tw=="}, 200),
        ("uploadType=media&name=o", {"Content-MD5": "AAAA"}, 400),
        ("uploadType=media&name=o", {"X-Goog-Hash": "md5=AAAA,crc32c=Nks/tw=="}, 400),
        ("uploadType=media&name=o", {"X-Goog-Hash": "crc32c=AAAAAA=="}, 400),
        ("uploadType=media", {}, 400),
        ("uploadType=other&name=o", {}, 400),
        ("uploadType=multipart&name=o", {"Content-Type": "multipart/related"}, 400),
        ("uploadType=multipart&name=o", {"Content-Type": "multipart/related; boundary=x"}, 400),
        ("uploadType=media&name=o", {"X-Goog-Encryption-Key": "k"}, 400),
    ],
)
def test_media(server: BucketServer, query: str, headers: dict[str, str], status: int) -> None:
    server.bucket("b")
    answer = _post(server, f"{URL}?{query}", b"abc", **headers)
    assert (answer.status_code, server.read("b", "o")) == (
        status,
        b"abc" if status == 200 else None,
    )


@pytest.mark.parametrize("chunk", [None, GRANULE])
def test_a_body_that_is_not_what_was_said_is_refused(
    server: BucketServer, owner: Any, chunk: int | None
) -> None:
    server.bucket("b")
    blob = owner.bucket("b").blob("o", chunk_size=chunk)
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="MD5"):
        blob.upload_from_file(io.BytesIO(b"abc"), size=None if chunk else 3, retry=None)
    assert server.names("b") == []


def test_a_resumable_upload_by_hand(server: BucketServer) -> None:
    server.bucket("b")
    begun = _post(server, f"{URL}?uploadType=resumable&name=o", b"{}")
    url = begun.headers["Location"]
    steps: list[tuple[str, bytes, int, str | None]] = [
        ("bytes */*", b"", 308, None),
        (f"bytes 0-{GRANULE}/*", b"x" * (GRANULE + 1), 308, f"bytes=0-{GRANULE - 1}"),
        ("bytes */*", b"", 308, f"bytes=0-{GRANULE - 1}"),
        ("bytes 1-0/5", b"", 400, None),
        ("nonsense", b"", 400, None),
        (f"bytes {2 * GRANULE}-{2 * GRANULE}/*", b"x", 400, None),
        (f"bytes {GRANULE - 1}-{GRANULE + 1}/{GRANULE + 2}", b"xyz", 200, None),
        ("bytes */*", b"", 200, None),
    ]
    for content_range, data, status, kept in steps:
        headers = {"Content-Range": content_range}
        answer = requests.put(url, data=data, headers=headers, timeout=20)
        assert (answer.status_code, answer.headers.get("Range")) == (status, kept), content_range
    assert server.read("b", "o") == b"x" * GRANULE + b"yz"


def test_a_cancelled_upload_is_forgotten(server: BucketServer) -> None:
    server.bucket("b")
    url = _post(server, f"{URL}?uploadType=resumable&name=o", b"{}").headers["Location"]
    assert requests.delete(url, timeout=20).status_code == 499
    assert requests.put(url, data=b"x", timeout=20).status_code == 404
    assert server.names("b") == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule(method="PUT", nth=2, cut_request=100_000),
        Rule(method="PUT", nth=2, reset=True),
        Rule(method="PUT", nth=2, status=503),
        Rule(method="PUT", nth=3, cut=0),
        Rule(method="PUT", nth=4, cut=10),
    ],
)
def test_the_client_resumes(server: BucketServer, owner: Any, rule: Rule) -> None:
    server.bucket("b")
    armed = server.fail(rule)
    data = bytes(range(256)) * 1024 * 4
    blob = owner.bucket("b").blob("o", chunk_size=GRANULE)
    retry = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.01)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0, retry=retry)
    assert armed.hit == 1
    assert server.read("b", "o") == data
    assert sum(one.received for one in server.requests if one.method == "PUT") < 2 * len(data)


def test_an_upload_that_is_cut_off_leaves_nothing(server: BucketServer, owner: Any) -> None:
    server.bucket("b")
    server.fail(Rule(method="POST", cut_request=1000))
    with pytest.raises(requests.exceptions.ConnectionError):
        owner.bucket("b").blob("o").upload_from_string(b"x" * 5_000_000, retry=None)
    assert server.names("b") == []


def test_a_chunked_body(server: BucketServer) -> None:
    server.bucket("b")
    body = (b"%d," % number for number in range(1000))
    answer = _post(server, f"{URL}?uploadType=media&name=o", body)
    assert answer.json()["name"] == "o"
    assert server.read("b", "o") == b"".join(b"%d," % number for number in range(1000))


def test_memory_is_flat(server: BucketServer, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    server.bucket("b")
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert _post(server, f"{URL}?uploadType=media&name=o", file).status_code == 200
        url = f"{server.endpoint}/b/o"
        with requests.get(url, stream=True, timeout=20) as answer:
            assert sum(map(len, answer.iter_content(1_000_000))) == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()

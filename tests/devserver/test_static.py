"""/static/: what is served of a file, and that nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from crosprov.devserver.builds import version_key
from crosprov.devserver.failures import Refused
from crosprov.devserver.static import range_of, unchanged_since
from tests.devserver.asking import BUILD, PAYLOAD, SECRET, Question, application, ask, fill


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    with application(fill(tmp_path_factory.mktemp("devserver"))) as made:
        yield made


@pytest.mark.parametrize(
    "path",
    [
        f"/static/{BUILD}/stateful.tgz",
        f"/static//{BUILD}/./stateful.tgz",
        "/static/latest/stateful.tgz",
        "/%73tatic/latest/stateful%2Etgz?query=ignored",
    ],
)
def test_a_file_is_served_whole(app: Starlette, path: str) -> None:
    reply = ask(app, path)
    assert (reply.status, reply.body) == (200, PAYLOAD)
    assert reply.headers["content-length"] == str(len(PAYLOAD))
    head = ask(app, Question(path, "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert head.headers == reply.headers


def test_odd_names_and_empty_files_are_served(app: Starlette) -> None:
    assert ask(app, f"/static/{BUILD}/a%20b%2520%C3%BC").body == b"odd name"
    empty = ask(app, f"/static/{BUILD}/empty")
    assert (empty.status, empty.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        f"/static/{BUILD}",
        f"/static/{BUILD}/",
        f"/static/{BUILD}/missing",
        f"/static/{BUILD}/stateful.tgz/",
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
        "/static/.incoming/half",
        "/static/x/../.incoming/half",
        "/static/a%00b",
        f"/static/{'x' * 300}",
        "/static/" + "x/" * 1500,
        "/static/%ff%fe",
        "/nothing",
        "/check_health/below",
    ],
)
def test_nothing_else_is_served(app: Starlette, path: str) -> None:
    reply = ask(app, path)
    assert reply.status == 404
    assert reply.sentence
    assert SECRET not in reply.body


def test_a_file_is_only_asked_for(app: Starlette) -> None:
    reply = ask(app, Question(f"/static/{BUILD}/stateful.tgz", "POST"))
    assert reply.status == 405
    assert "POST is not a method" in reply.sentence


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
def test_a_range_is_served(app: Starlette, header: str, start: int, end: int) -> None:
    reply = ask(app, Question(f"/static/{BUILD}/stateful.tgz", headers={"range": header}))
    assert (reply.status, reply.body) == (206, PAYLOAD[start:end])
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{len(PAYLOAD)}"


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-5", "bytes=-", "x"])
def test_a_range_that_is_not_understood_gives_the_whole(app: Starlette, header: str) -> None:
    reply = ask(app, Question(f"/static/{BUILD}/stateful.tgz", headers={"range": header}))
    assert (reply.status, reply.body) == (200, PAYLOAD)


@pytest.mark.parametrize("name", ["stateful.tgz", "empty"])
def test_a_range_behind_the_end_is_refused(app: Starlette, name: str) -> None:
    headers = {"range": f"bytes={len(PAYLOAD)}-"}
    reply = ask(app, Question(f"/static/{BUILD}/{name}", headers=headers))
    assert reply.status == 416
    assert reply.headers["content-range"].startswith("bytes */")
    assert "behind" in reply.sentence


def test_a_known_version_is_not_sent_again(app: Starlette) -> None:
    path = f"/static/{BUILD}/stateful.tgz"
    seen = ask(app, path).headers
    etag, modified = seen["etag"], seen["last-modified"]
    cases: list[tuple[dict[str, str], int]] = [
        ({"if-none-match": etag}, 304),
        ({"if-none-match": f'"x", W/{etag}'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": '"other"', "if-modified-since": modified}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "nonsense"}, 200),
        ({"range": "bytes=0-1", "if-range": etag}, 206),
        ({"range": "bytes=0-1", "if-range": modified}, 206),
        ({"range": "bytes=0-1", "if-range": '"other"'}, 200),
    ]
    for headers, status in cases:
        reply = ask(app, Question(path, headers=headers))
        assert reply.status == status, headers
        assert (reply.body == b"") == (status == 304)


def test_another_file_under_a_name_has_another_tag(app: Starlette, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    with application(tmp_path) as small:
        before = ask(small, "/static/file").headers["etag"]
        (tmp_path / "new").write_text("two")
        (tmp_path / "new").replace(tmp_path / "file")
        assert ask(small, "/static/file").headers["etag"] != before


@given(st.text(alphabet="0123456789-=, byteslin", max_size=30), st.integers(0, 10**15))
def test_a_range_is_within_the_file_or_refused(header: str, size: int) -> None:
    try:
        part = range_of(header, size)
    except Refused as refused:
        assert refused.status == 416
    else:
        assert part is None or (0 <= part[0] and part[1] >= 1 and part[0] + part[1] <= size)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_plain_range_is_what_it_says(first: int, more: int, size: int) -> None:
    first %= size
    last = first + more
    part = range_of(f"bytes={first}-{last}", size)
    assert part == (first, min(last, size - 1) - first + 1)


@given(st.text(max_size=60))
def test_any_date_is_read_or_passed_over(text: str) -> None:
    assert unchanged_since(text, 0.0) in (True, False)


@given(st.lists(st.tuples(*[st.integers(0, 9999)] * 4), min_size=1))
def test_versions_are_ordered_by_their_numbers(numbers: list[tuple[int, int, int, int]]) -> None:
    names = {f"R{m}-{b}.{r}.{p}": (m, b, r, p) for m, b, r, p in numbers}
    assert names[max(names, key=version_key)] == max(numbers)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("R9-1.0.0", "R10-1.0.0"),
        ("R10-9.0.0", "R10-10.0.0"),
        ("R65-10323.0.0", "R65-10323.0.0-b12"),
        ("R65-1.2.9", "R65-1.10.0"),
    ],
)
def test_newer_versions_come_later(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)

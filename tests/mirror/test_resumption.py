"""A part is gone on with only where the whole will prove that both halves are of one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crosprov.mirror.folder import Folder
from crosprov.mirror.model import Need
from crosprov.mirror.part import part_name
from tests.mirror.syncing import World, content, world
from tests.support.serving import serving

__all__ = ["world"]

SIZE, LEFT = 300_000, 102_400  # a part goes on at a page boundary
WEAK, STRONG = ("SHA1", "MD5"), ("SHA512",)


class _Breaking(BaseHTTPRequestHandler):
    """Break off the first answer, and remember which ranges were asked for."""

    data = b""
    tag: str | None = None
    asked: list[tuple[str | None, str | None]]

    def do_GET(self) -> None:  # its name is the library's
        if not self.path.endswith("/foo-1.tar"):
            self.send_error(404)
            return
        wanted = self.headers["Range"]
        self.asked.append((wanted, self.headers["If-Range"]))
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{SIZE - 1}/{SIZE}")
        if self.tag is not None:
            self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(SIZE - begin))
        self.end_headers()
        end = LEFT if len(self.asked) == 1 else SIZE
        self.wfile.write(self.data[begin:end])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def breaking(data: bytes, tag: str | None) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Run an upstream, and give its address and the Range and If-Range of each request."""
    asked: list[tuple[str, str]] = []
    handler = type("Breaking", (_Breaking,), {"data": data, "tag": tag, "asked": asked})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}", asked


REST = f"bytes={LEFT}-"


@pytest.mark.parametrize(
    ("algorithms", "tag", "second"),
    [
        (WEAK, None, (None, None)),
        (WEAK, 'W/"weak"', (None, None)),
        (WEAK, "unquoted", (None, None)),
        (WEAK, '"strong"', (REST, '"strong"')),
        (STRONG, None, (REST, None)),
        (STRONG, 'W/"weak"', (REST, None)),
        (STRONG, '"strong"', (REST, '"strong"')),
    ],
)
def test_a_server_is_asked_for_the_rest_only_where_that_is_safe(
    world: World, algorithms: tuple[str, ...], tag: str | None, second: tuple[str | None, ...]
) -> None:
    need = world.need("foo-1.tar", content(SIZE), algorithms=algorithms)
    with breaking(world.files["foo-1.tar"], tag) as (place, asked):
        report = world.sync(need, upstreams=[place])
    assert report.is_good and world.published() == world.files
    assert asked == [(None, None), second]


def test_a_part_of_an_earlier_sync_is_nothing_that_a_tag_vouches_for(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE), algorithms=WEAK)
    _leave(world, need)
    with breaking(world.files["foo-1.tar"], '"strong"') as (place, asked):
        assert world.sync(need, upstreams=[place]).is_good
    assert asked == [(None, None), (REST, '"strong"')]


def _leave(world: World, need: Need) -> None:
    """Leave what an earlier sync got of a file, which is of another content."""
    part = world.store.make_incoming() / part_name(need.archive)
    part.write_bytes(content(LEFT, "another"))


@pytest.mark.parametrize(("algorithms", "begins"), [(WEAK, [0]), (STRONG, [LEFT, 0])])
def test_a_folder_is_read_from_where_it_is_safe(
    world: World, monkeypatch: pytest.MonkeyPatch, algorithms: tuple[str, ...], begins: list[int]
) -> None:
    need = world.need("foo-1.tar", content(SIZE), algorithms=algorithms)
    _leave(world, need)
    (world.path / "other").mkdir()
    (world.path / "other" / "foo-1.tar").write_bytes(world.files["foo-1.tar"])
    read, seen = Folder.read, []

    def noted(folder: Folder, name: str, offset: int = 0) -> Iterator[bytes]:
        if name == "foo-1.tar":
            seen.append(offset)
        return read(folder, name, offset)

    monkeypatch.setattr(Folder, "read", noted)
    assert world.sync(need, upstreams=[str(world.path / "other")]).is_good
    assert seen == begins and world.published() == world.files


@pytest.mark.parametrize(("algorithms", "begins"), [(WEAK, [0]), (STRONG, [LEFT, 0])])
def test_a_bucket_is_read_from_where_it_is_safe(
    world: World, algorithms: tuple[str, ...], begins: list[int]
) -> None:
    need = world.need("foo-1.tar", content(SIZE), algorithms=algorithms)
    _leave(world, need)
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    place = "gs://upstream-1/distfiles"
    assert world.sync(need, upstreams=[place], endpoint=world.server.endpoint).is_good
    assert world.published() == world.files
    asked = [one.range for one in world.server.downloads("upstream-1", "distfiles/foo-1.tar")]
    assert asked == [f"bytes={begin}-{SIZE - 1}" for begin in begins]

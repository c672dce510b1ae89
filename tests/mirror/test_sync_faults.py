"""A sync amid faults: nothing is lost, and nothing wrong is ever published."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crosprov.mirror.events import Event
from crosprov.mirror.layouts import GENTOO
from crosprov.mirror.layouts import NAME as LAYOUT
from crosprov.mirror.ledger import Ledger
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.part import part_name
from crosprov.mirror.report import Kind
from crosprov.mirror.sync import sync
from crosprov.mirror.web import Patience
from tests.mirror.syncing import QUICK, World, content, needs_of, only, owner, world
from tests.support.bucket import Rule
from tests.support.serving import serving

__all__ = ["world"]

SIZE = 300_000
LARGE = (2 << 20) + 5  # comes in parts

# What goes wrong once or for ever, and whether the sync gets the file all the same.
PASSING = {
    "cut": Rule(path="/foo", cut=100_000),
    "cut twice": Rule(path="/foo", cut=100_000, times=2),
    "reset": Rule(path="/foo", cut=100_000, reset=True),
    "no answer": Rule(path="/foo", reset=True),
    "too many requests": Rule(path="/foo", status=429, retry_after=0),
    "server error": Rule(path="/foo", status=503),
    "slow": Rule(path="/foo", rate=2_000_000),
}
LASTING = {
    "cut": (Rule(path="/foo", cut=100, times=None), Kind.CORRUPT),
    "corrupt": (Rule(path="/foo", corrupt=77, times=None), Kind.CORRUPT),
    "web page": (Rule(path="/foo", html=True, times=None), Kind.CORRUPT),
    "server error": (Rule(path="/foo", status=500, times=None), Kind.UNREACHABLE),
    "forbidden": (Rule(path="/foo", status=403, times=None), Kind.REFUSED),
    "gone": (Rule(path="/foo", status=410, times=None), Kind.UPSTREAM_LACKS),
    "reset": (Rule(path="/foo", reset=True, times=None), Kind.UNREACHABLE),
    "layout cannot be had": (Rule(path="layout.conf", status=500, times=None), Kind.UNREACHABLE),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_overcome(world: World, fault: str) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(PASSING[fault])
    assert world.sync(need).is_good
    assert world.published() == world.files


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_reported_and_the_next_upstream_helps(world: World, fault: str) -> None:
    rule, kind = LASTING[fault]
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    armed = world.server.fail(rule)
    failure = only(world.sync(need))
    assert failure.kind in (kind, Kind.UNREACHABLE if fault == "cut" else kind)
    assert failure.tried and not world.published()
    assert armed.hit <= len(QUICK.pauses) + 2
    helper = world.path / "helper"
    helper.mkdir()
    (helper / "foo-1.tar").write_bytes(world.files["foo-1.tar"])
    assert world.sync(need, upstreams=[world.upstream(), str(helper)]).is_good
    assert world.published() == world.files


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (content(SIZE - 1), f"{SIZE - 1} bytes instead of {SIZE}"),
        (content(SIZE + 1), f"{SIZE + 1} bytes instead of {SIZE}"),
        (content(SIZE, "other"), "instead of"),
        (b"", f"0 bytes instead of {SIZE}"),
    ],
)
def test_another_content_upstream_is_not_published(world: World, offered: bytes, said: str) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", offered)
    failure = only(world.sync(need))
    assert failure.kind is Kind.CORRUPT and said in failure.tried[0].sentence
    assert "foo-1_YYYYMMDD.tar" in str(failure.hint) and not world.published()


class _Redirection(BaseHTTPRequestHandler):
    """Send everybody to the same page with 302, as networks do that want a sign-in."""

    page = ""

    def do_GET(self) -> None:  # its name is the library's
        self.send_response(302)
        self.send_header("Location", self.page)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def redirecting(page: str) -> Iterator[str]:
    """Run an upstream that leads to another page, and give its address."""
    handler = type("Redirection", (_Redirection,), {"page": page})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_a_redirection_to_a_web_page_is_no_file(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.server.put("upstream-1", "sign-in", content(SIZE, "page"))
    world.server.fail(Rule(path="sign-in", html=True, times=None))
    with redirecting(f"{world.upstream()}/sign-in") as place:
        failure = only(world.sync(need, upstreams=[place]))
    assert failure.kind is Kind.CORRUPT and not world.published()
    assert "a web page comes instead of the file" in failure.tried[0].sentence


def test_a_resumption_is_led_to_the_same_file(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(Rule(path="/foo", cut=100_000, nth=2))  # the first asks for layout.conf
    with redirecting(f"{world.upstream()}/distfiles/foo-1.tar") as place:
        assert world.sync(need, upstreams=[place]).is_good
    last = world.server.downloads("upstream-1", "distfiles/foo-1.tar")[-1]
    assert last.range == "bytes=100000-" and world.published() == world.files


@pytest.mark.parametrize(
    "second",
    [
        Rule(path="/foo", shift=1000, nth=2),
        Rule(path="/foo", ignore_range=True, nth=2),
        Rule(path="/foo", html=True, nth=2),
        Rule(path="/foo", corrupt=0, nth=2),
    ],
    ids=["wrong range", "no ranges", "web page", "corrupt rest"],
)
def test_a_resumption_that_goes_wrong_is_overcome(world: World, second: Rule) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.offer("foo-1.tar", world.files["foo-1.tar"], upstream="upstream-2")
    world.server.fail(second)
    world.server.fail(Rule(path="upstream-1/.*/foo", cut=100_000))
    report = world.sync(need, upstreams=[world.upstream(), world.upstream("upstream-2")])
    assert report.is_good and world.published() == world.files


def test_a_part_is_resumed_by_range_from_another_upstream(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.offer("foo-1.tar", world.files["foo-1.tar"], upstream="upstream-2")
    world.server.fail(Rule(path="upstream-1/.*/foo", cut=100_000))
    world.server.fail(Rule(path="upstream-1/.*/foo", status=500, times=None))
    places = [world.upstream(), world.upstream("upstream-2")]
    assert world.sync(need, upstreams=places).is_good
    (last,) = world.server.downloads("upstream-2", "distfiles/foo-1.tar")
    assert last.range == "bytes=100000-" and last.sent == SIZE - 100_000


def test_without_a_strong_hash_only_the_same_content_is_resumed(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE), algorithms=("SHA1",))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(Rule(path="upstream-1/.*/foo", cut=100_000))
    assert world.sync(need).is_good
    second = world.server.downloads("upstream-1", "distfiles/foo-1.tar")[1]
    assert second.headers["If-Range"].startswith('"')


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_a_poisoned_part_is_dropped_and_fetched_anew(world: World, size: int) -> None:
    need = world.need("foo-1.tar", content(size))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    poisoned = world.store.make_incoming() / part_name(need.archive)
    for length in (1000, 10_000, size, size + 1):
        left = content(length, "poison")
        poisoned.write_bytes(left)
        (world.mirror / "foo-1.tar").unlink(missing_ok=True)
        (world.options.state / "ledger.sqlite").unlink(missing_ok=True)
        assert world.sync(need).is_good
        assert world.published() == world.files


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_a_whole_part_of_a_killed_sync_is_published_without_asking(world: World, size: int) -> None:
    need = world.need("foo-1.tar", content(size))
    left = world.store.make_incoming() / part_name(need.archive)
    left.write_bytes(world.files["foo-1.tar"])
    left.chmod(0o444)
    assert world.sync(need).is_good and not world.server.requests
    assert world.published() == world.files


def test_a_part_that_is_a_published_file_s_other_name_is_never_written(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    other = world.path / "mirror" / "precious"
    left = world.store.make_incoming() / part_name(need.archive)
    other.write_bytes(b"precious")
    os.link(other, left)
    assert world.sync(need).is_good
    assert other.read_bytes() == b"precious"


NO_ADDRESSES = ["http://[bad/a", "http://a..b/a", f"http://{'a' * 64}.example.com/a", "http:///a"]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_ebuild_that_names_no_address_fails_alone(world: World, address: str) -> None:
    needs = [world.need("foo-1.tar", None, owner(address)), world.need("bar-1.tar")]
    world.offer("bar-1.tar", world.files["bar-1.tar"])
    report = world.sync(*needs, source_uris=True)
    assert only(report).name == "foo-1.tar" and report.fetched == 1


def test_a_layout_that_breaks_off_is_none(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("layout.conf", b"[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(Rule(path="layout.conf", cut=12))
    assert world.sync(need).is_good


def test_a_ledger_that_cannot_be_written_fails_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(8)]
    for name, data in world.files.items():
        world.offer(name, data)

    def full(ledger: object, proof: object) -> None:
        raise Fault("the ledger cannot be used: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "note", full)
        report = world.sync(*needs)
    assert report.fetched == 8 and not report.failures and len(report.remarks) == 1
    assert world.sync(*needs).checked == 8


def test_a_second_name_that_goes_while_a_file_is_read_is_no_change(world: World) -> None:
    need = world.need("foo-1.tar")
    world.mirror.mkdir()
    path = world.mirror / "foo-1.tar"
    path.write_bytes(world.files["foo-1.tar"])
    left = world.store.make_incoming() / f"copy-{2**22 + 1}-x"  # of a publisher that is no more
    os.link(path, left)
    assert world.sync(need).is_good and not left.exists()


def test_a_silent_upstream_is_left_for_the_next(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.offer("foo-1.tar", world.files["foo-1.tar"], upstream="upstream-2")
    world.server.fail(Rule(path="upstream-1/.*/foo", stall=100_000, times=None))
    places = [world.upstream(), world.upstream("upstream-2")]
    patience = Patience(silence=0.2, pauses=())
    assert world.sync(need, upstreams=places, patience=patience).is_good
    assert world.published() == world.files


def test_an_upstream_that_trickles_is_left_for_the_next(world: World) -> None:
    need = world.need("foo-1.tar", content(SIZE))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.offer("foo-1.tar", world.files["foo-1.tar"], upstream="upstream-2")
    world.server.fail(Rule(path="upstream-1/.*/foo", rate=150_000, times=None))
    places = [world.upstream(), world.upstream("upstream-2")]
    patience = Patience(slowest=10_000_000, window=0.3, pauses=())
    report = world.sync(need, upstreams=places, patience=patience)
    assert report.is_good and world.published() == world.files
    assert len(world.server.downloads("upstream-2", "distfiles/foo-1.tar")) == 1


@pytest.mark.parametrize("size", [40_000, 1_500_000])
def test_a_full_disk_ends_the_sync_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    needs = [world.need(f"foo-{n}.tar", content(size, n)) for n in range(6)]
    for name, data in world.files.items():
        world.offer(name, data)
    write, room = os.pwrite, [size * 5 // 2]

    def full(number: int, data: memoryview, offset: int) -> int:
        """Write as a disk does that has room for so many bytes more."""
        if data and not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(number, data[: room[0]], offset)
        room[0] -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        report = world.sync(*needs, workers=1)
    assert report.fetched == 2 and report.untried == 3 and "no space left" in str(report.stopped)
    assert only(report).kind is Kind.STORE and not report.is_good
    assert all(world.files[name] == data for name, data in world.published().items())
    assert not list((world.mirror / ".crosprov-incoming").glob("*.part"))
    assert world.sync(*needs).is_good and world.published() == world.files


def test_a_mirror_that_cannot_be_written_ends_the_sync_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(20)]
    for name, data in world.files.items():
        world.offer(name, data)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", broken)
        report = world.sync(*needs, workers=1)
    assert len(report.failures) == 5 and report.untried == 15 and not world.published()


def test_interrupted_syncs_leave_the_ledger_true(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(10)]
    for name, data in world.files.items():
        world.offer(name, data)
    seen = itertools.count(1)

    def interrupt(event: Event) -> None:
        if next(seen) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(needs_of(*needs), world.store, [world.upstream()], world.options, interrupt)
    report = world.sync(*needs)
    assert report.is_good and report.checked + report.fetched + report.present >= 10
    assert world.published() == world.files


def test_an_interruption_while_the_threads_begin_is_one_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(5)]
    for name, data in world.files.items():
        world.offer(name, data)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        """Start a thread, unless it is the second of the sync."""
        if thread.name == "sync-1":
            raise KeyboardInterrupt
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            world.sync(*needs, workers=3)
    assert world.sync(*needs).is_good and world.published() == world.files


_PROGRAM = """
import os, sys
from pathlib import Path
from tests.mirror.syncing import QUICK, archive_of, content, need_of, needs_of
from tests.mirror.test_sync_faults import size_of
from crosprov.mirror.folder import Folder
from crosprov.mirror.sync_options import Options
from crosprov.mirror.sync import sync
from tests.support.serving import serving
folder, upstream, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
needs = needs_of(*(need_of(archive_of(f"foo-{n}.tar", content(size_of(n), n)))
                   for n in range(count)))
options = Options(state=folder / "state", workers=4, patience=QUICK, hashed=True)
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if not process:
        report = sync(needs, Folder(str(folder / "mirror")), [upstream], options)
        os._exit(0 if report.is_good else 1)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def size_of(number: int) -> int:
    """Choose the size of one of the files of a sync that is killed: some come in parts."""
    return 5000 + number * 9000 if number % 8 else 2_000_000 + number * 250_000


def _has_its_links(world: World) -> bool:
    """Tell whether each file that users see has its second name."""
    hashed = [(name, str(GENTOO.path(Archive(name, 0, {})))) for name in os.listdir(world.mirror)]
    return all(
        os.path.exists(world.mirror / path)
        and os.path.samefile(world.mirror / path, world.mirror / name)
        for name, path in hashed
        if name in world.files
    )


def test_a_sync_killed_at_random_is_completed_by_the_next(world: World) -> None:
    kills, count, chance = 100, 40, random.Random(6)
    for n in range(count):
        world.files[f"foo-{n}.tar"] = content(size_of(n), n)
        world.offer(f"foo-{n}.tar", world.files[f"foo-{n}.tar"])
    # One file does not come while there are kills, so that each of them finds something undone.
    last = world.server.fail(Rule(path="foo-39", rate=10_000, times=None))
    world.server.fail(Rule(path="foo-(0|8|16|24|32)[.]", rate=40_000_000, times=None))
    world.server.fail(Rule(path="foo-", rate=4_000_000, times=None))
    command = [sys.executable, "-c", _PROGRAM, str(world.path), world.upstream(), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin and one.stdout
        assert one.stdout.readline() == "ready\n"
        ends, before = [], set[str]()
        for number in range(kills + 1):
            one.stdin.write("go\n")
            one.stdin.flush()
            process = int(one.stdout.readline())
            if number < kills:
                time.sleep(chance.random() * 0.1)  # a kill may come at any instant
                with suppress(ProcessLookupError):  # it was faster
                    os.kill(process, signal.SIGKILL)
            else:
                last.release()
            ends.append(int(one.stdout.readline()))
            seen = {name: data for name, data in world.published().items() if name in world.files}
            assert all(world.files[name] == data for name, data in seen.items())
            assert before <= seen.keys(), "what was published stays"
            assert number == kills or not (world.mirror / LAYOUT).exists(), "it comes last"
            before = set(seen)
        one.stdin.close()
    assert ends[-1] == 0 and ends.count(-signal.SIGKILL) >= 90
    assert any(request.range for request in world.server.requests), "parts were gone on with"
    assert _has_its_links(world)
    (world.mirror / LAYOUT).unlink()
    assert world.published() == world.files
    needs = [world.need(name, data) for name, data in world.files.items()]
    again = world.verify(*needs)
    assert not again.failures and again.checked == count


def test_two_syncs_with_states_of_their_own_agree(world: World, tmp_path: Path) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(10)]
    for name, data in world.files.items():
        world.offer(name, data)
    world.sync(*needs[:5], state=tmp_path / "one")
    report = world.sync(*needs, state=tmp_path / "two")
    assert report.is_good and (report.checked, report.fetched) == (5, 5)
    assert world.published() == world.files

"""A sync: what it fetches and from where, what it leaves alone, and what it says."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from crosprov.mirror.events import Fetched, Listed, Progress
from crosprov.mirror.holding import Busy, held
from crosprov.mirror.layouts import GENTOO
from crosprov.mirror.model import Archive, Fault, Uri
from crosprov.mirror.report import Kind, as_text
from crosprov.mirror.report_json import SCHEMA, as_json, last_good, last_report
from tests.mirror.syncing import World, archive_of, content, need_of, only, owner, world
from tests.support.bucket import Rule

__all__ = ["world"]

NAMES = (
    "foo-1.tar.xz",
    "github.com%2Fx%2F@v%2Fv1.mod",
    "with spaces and more.zip",
    "!odd,(name)~+@=.tar",
    f"{'n' * 153}.tgz",
    "größe-1.tar",
    "#fragment?query&x=1.tar",
    "%41%2e%2e.tar",
)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_arrives_as_it_is(world: World, name: str) -> None:
    need = world.need(name)
    world.offer(name, world.files[name])
    report = world.sync(need)
    assert report.is_good and report.fetched == 1
    assert world.published() == world.files


def test_a_second_sync_asks_upstream_for_nothing(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar", content(n * 1000)) for n in range(5)]
    for name, data in world.files.items():
        world.offer(name, data)
    assert world.sync(*needs).fetched == 5
    before = len(world.server.requests)
    again = world.sync(*needs)
    assert (again.fetched, again.checked, again.present) == (0, 0, 5)
    assert again.is_good and len(world.server.requests) == before


def test_published_files_are_read_only_and_nothing_else_lies_there(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    path = world.mirror / "foo-1.tar"
    assert path.stat().st_mode & 0o777 == 0o444 and path.stat().st_nlink == 1
    assert [one.name for one in (world.mirror / ".crosprov-incoming").iterdir()] == ["lock"]


def test_files_that_are_there_already_are_read_once(world: World) -> None:
    need = world.need("foo-1.tar")
    world.mirror.mkdir()
    (world.mirror / "foo-1.tar").write_bytes(world.files["foo-1.tar"])
    assert world.sync(need).checked == 1
    assert world.sync(need).checked == 0


def test_a_dry_run_writes_nothing(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    report = world.sync(need, dry_run=True)
    assert report.planned == ("foo-1.tar",) and report.planned_bytes == 3000
    assert not world.mirror.exists() and not world.options.state.exists()
    assert not world.server.requests


def test_a_dry_run_after_a_sync_knows_what_was_proven(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in world.options.state.iterdir())
    report = world.sync(need, world.need("bar-1.tar"), dry_run=True)
    assert (report.present, report.unproven, report.planned) == (1, 0, ("bar-1.tar",))
    after = sorted((path.name, path.stat().st_mtime_ns) for path in world.options.state.iterdir())
    assert after == before


@pytest.mark.parametrize("is_sized", [True, False])
def test_another_content_under_a_name_is_left_and_named(world: World, is_sized: bool) -> None:
    need = world.need("foo-1.tar.xz")
    world.offer("foo-1.tar.xz", world.files["foo-1.tar.xz"])
    there = content(3000 if is_sized else 2000, "other")
    world.mirror.mkdir()
    (world.mirror / "foo-1.tar.xz").write_bytes(there)
    failure = only(world.sync(need))
    assert failure.kind is Kind.IMMUTABLE
    assert need.archive.hashes["BLAKE2B"] in failure.sentence
    assert archive_of("foo-1.tar.xz", there).hashes["BLAKE2B"] in failure.sentence
    assert failure.hint and "foo-1_YYYYMMDD.tar.xz" in failure.hint
    assert world.published() == {"foo-1.tar.xz": there}


def test_a_manifest_that_changes_its_mind_is_known_without_reading(world: World) -> None:
    first = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(first)
    second = world.need("foo-1.tar", content(3000, "new"))
    report = world.sync(second)
    failure = only(report)
    assert failure.kind is Kind.IMMUTABLE and report.checked == 0
    assert first.archive.hashes["BLAKE2B"] in failure.sentence
    assert second.archive.hashes["BLAKE2B"] in failure.sentence
    assert world.sync(first).is_good


def test_a_manifest_with_further_hashes_has_the_file_read_again(world: World) -> None:
    first = world.need("foo-1.tar", algorithms=("SHA256",))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(first)
    second = world.need("foo-1.tar", world.files["foo-1.tar"])
    assert world.sync(second).checked == 1
    assert world.sync(second).checked == 0


def test_one_bad_file_does_not_stop_the_rest(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(6)]
    for name, data in world.files.items():
        if name != "foo-3.tar":
            world.offer(name, data)
    report = world.sync(*needs)
    assert report.fetched == 5 and only(report).name == "foo-3.tar"


def test_a_file_that_upstream_lacks_is_an_infrastructure_bug(world: World) -> None:
    gone = owner(f"{world.server.endpoint}/origin/foo-1.tar")
    need = world.need("foo-1.tar", None, gone)
    world.server.put("origin", "foo-1.tar", world.files["foo-1.tar"])
    failure = only(world.sync(need))
    assert failure.kind is Kind.UPSTREAM_LACKS and "infrastructure" in failure.sentence
    assert [one.ebuild for one in failure.needed_by] == ["dev-libs/foo/foo-1.ebuild"]
    assert not world.published()


def test_an_upstream_that_lacks_everything_may_have_another_address(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(12)]
    nowhere = str(world.path / "nowhere")
    report = world.sync(*needs, upstreams=[world.upstream("upstream-2"), nowhere])
    place = f"{world.server.endpoint}/upstream-2/distfiles"
    assert report.remarks == (
        f"{place} has none of the 12 files that it was asked for: is it the right address?",
    )
    failure = report.failures[0]
    assert [one.sentence for one in failure.tried][1:] == ["there is no such folder"]
    world.offer("foo-3.tar", world.files["foo-3.tar"])
    assert not world.sync(*needs).remarks


def test_all_that_is_fetched_keeps_to_the_bandwidth(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar", content(40_000, n)) for n in range(4)]
    for name, data in world.files.items():
        world.offer(name, data)
    began = time.monotonic()
    assert world.sync(*needs, bandwidth=400_000).is_good
    # The last piece goes out at once; a piece is a quarter of a second's worth at most.
    assert time.monotonic() - began > 0.25


def test_with_source_uris_the_addresses_of_all_owners_are_asked(world: World) -> None:
    at = f"{world.server.endpoint}/origin"
    owners = [owner("ftp://192.0.2.1/x"), owner(f"{at}/nothing"), owner(f"{at}/renamed%2Bfoo")]
    need = world.need("foo-1.tar", None, *owners)
    world.server.put("origin", "renamed+foo", world.files["foo-1.tar"])
    report = world.sync(need, source_uris=True)
    assert report.is_good and world.published() == world.files


def test_what_restrict_forbids_is_left_out_unless_asked(world: World) -> None:
    need = world.need("foo-1.tar", None, owner(Uri("https://example.com/foo-1.tar", True)))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    report = world.sync(need)
    assert report.is_good and "RESTRICT" in report.left_out["foo-1.tar"]
    assert world.sync(need, restricted=True).fetched == 1


def test_a_public_mirror_gets_nothing_of_private_trees(world: World) -> None:
    need = world.need("secret-1.tar", None, owner(public=False))
    world.offer("secret-1.tar", world.files["secret-1.tar"])
    assert "private" in world.sync(need).left_out["secret-1.tar"]
    assert world.sync(need, public=False).fetched == 1


def test_upstreams_are_asked_in_turn(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", content(3000, "corrupt"))
    world.offer("foo-1.tar", world.files["foo-1.tar"], upstream="upstream-2")
    unreachable = "http://127.0.0.1:1"
    places = [unreachable, world.upstream(), world.upstream("upstream-2")]
    report = world.sync(need, upstreams=places)
    assert report.is_good and world.published() == world.files
    fetched = [event for event in world.events if isinstance(event, Fetched)]
    assert fetched[0].source == f"{world.upstream('upstream-2')}/distfiles"


@pytest.mark.parametrize(
    "layout",
    [
        b"[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n",
        b"[structure]\n0=filename-hash SHA512 4:8:12\n",
        b"[structure]\n0=content-hash SHA512 8:8\n",
        b"[structure]\n0=unheard-of X 8\n1=flat\n",
        b"\xff nonsense",
        None,
    ],
)
def test_the_upstream_s_layout_is_read(world: World, layout: bytes | None) -> None:
    from crosprov.mirror.layouts import read_layouts

    need = world.need("foo %2F.tar")
    path = read_layouts(layout)[0].path(need.archive)
    world.offer("foo %2F.tar", world.files["foo %2F.tar"], path=path)
    if layout is not None:
        world.offer("layout.conf", layout)
    assert world.sync(need).is_good
    assert world.published() == world.files


def test_a_folder_can_be_an_upstream(world: World, tmp_path: Path) -> None:
    need = world.need("foo-1.tar")
    folder = tmp_path / "other"
    path = folder / str(GENTOO.path(need.archive))
    path.parent.mkdir(parents=True)
    path.write_bytes(world.files["foo-1.tar"])
    (folder / "layout.conf").write_bytes(b"[structure]\n0=filename-hash BLAKE2B 8\n")
    assert world.sync(need, upstreams=[str(folder)]).is_good
    assert path.stat().st_nlink == 1 and world.published() == world.files


def test_a_hashed_mirror_has_links_and_then_its_layout(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(3)]
    for name, data in world.files.items():
        world.offer(name, data)
    world.sync(needs[0])
    assert world.sync(*needs, hashed=True).is_good
    for need in needs:
        flat = world.mirror / need.archive.name
        assert flat.samefile(world.mirror / str(GENTOO.path(need.archive)))
    written = (world.mirror / "layout.conf").read_text()
    assert written == "[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n"
    again = world.sync(*needs, hashed=True)
    assert again.is_good and again.checked == 0 and again.unknown == 0


def test_a_foreign_layout_conf_is_left_and_named(world: World) -> None:
    world.mirror.mkdir()
    (world.mirror / "layout.conf").write_text("[structure]\n0=flat\n")
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    report = world.sync(need, hashed=True)
    assert report.is_good and "layout.conf" in report.remarks[0]
    assert (world.mirror / "layout.conf").read_text() == "[structure]\n0=flat\n"


def test_hashes_that_cannot_be_computed_prove_nothing(world: World) -> None:
    archive = Archive("foo-1.tar", 3000, {"WHIRLPOOL": "0" * 128})
    world.offer("foo-1.tar", content(3000))
    failure = only(world.sync(need_of(archive)))
    assert failure.kind is Kind.UNPROVABLE and not world.published()


def test_weak_hashes_are_better_than_none(world: World) -> None:
    need = world.need("foo-1.tar", algorithms=("SHA1",))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    assert world.sync(need).is_good


def test_without_any_source_the_report_names_the_addresses(world: World) -> None:
    need = world.need("foo-1.tar", None, owner("cipd://example/foo"))
    failure = only(world.sync(need, upstreams=[], source_uris=True))
    assert failure.kind is Kind.NO_SOURCE and "cipd://example/foo" in str(failure.hint)


@pytest.mark.parametrize(
    "place",
    [
        "gopher://user:secret@example.com",
        "ftp://secret",
        "http://",
        "https:///x",
        "rsync://[x/",
        "x",
    ],
)
def test_an_upstream_that_is_none_is_refused(world: World, place: str) -> None:
    with pytest.raises(Fault, match="is no upstream") as raised:
        world.sync(world.need("foo-1.tar"), upstreams=[place])
    assert "user:secret" not in str(raised.value)


def test_a_mirror_whose_disk_is_not_mounted_is_not_filled_again(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    os.rename(world.mirror, world.path / "elsewhere")
    with pytest.raises(Fault, match="the mirror is empty"):
        world.sync(need)


def test_a_second_sync_meanwhile_is_refused(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    with held(world.store.make_incoming(), "it"):
        with pytest.raises(Busy, match=f"process {os.getpid()}") as raised:
            world.sync(need)
    assert "--wait" in str(raised.value.hint)
    assert world.sync(need).is_good


def test_the_report_is_kept_with_the_age_of_the_last_good_sync(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    good = world.sync(need)
    assert last_good(world.options.state) == good.last_good == good.ended
    bad = world.sync(need, world.need("lacking.tar"))
    assert bad.last_good == good.ended and last_good(world.options.state) == good.ended
    kept = last_report(world.options.state)
    assert kept == json.loads(json.dumps(as_json(bad)))
    jsonschema.validate(kept, SCHEMA)
    text = "\n".join(as_text(bad))
    assert "dev-libs/foo/foo-1.ebuild: lacking.tar: no upstream has it" in text
    assert "last good sync: 0 s ago" in text


def test_a_damaged_ledger_costs_a_reading(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    (world.options.state / "ledger.sqlite").write_bytes(b"\0garbage" * 1000)
    report = world.sync(need)
    assert report.is_good and report.checked == 1 and "damaged" in report.remarks[0]
    assert world.sync(need).checked == 0


def test_requests_to_one_upstream_are_few_at_a_time(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(8)]
    for name, data in world.files.items():
        world.offer(name, data)
    gate = world.server.fail(Rule(path="foo-", stall=10, times=None))
    thread = threading.Thread(target=world.sync, args=needs, kwargs={"per_upstream": 2})
    thread.start()
    gate.wait(2)
    started = [one for one in world.server.requests if "foo-" in one.path]
    gate.release()
    thread.join()
    assert len(started) == 2 and world.published() == world.files


def test_progress_ends_where_it_should(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar", content(n * 100_000)) for n in range(4)]
    for name, data in world.files.items():
        world.offer(name, data)
    progress = Progress()
    world.sync(*needs, world.need("lacking.tar"))
    for event in world.events:
        progress(event)
    assert isinstance(world.events[0], Listed)
    assert (progress.files, progress.files_done, progress.failed) == (5, 5, 1)
    assert progress.done == progress.total - progress.lost
    assert progress.lost == 3000


def test_events_of_a_resumed_file_add_up(world: World) -> None:
    need = world.need("foo-1.tar", content(200_000))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(Rule(path="foo-1", cut=70_000))
    world.sync(need)
    moved = sum(getattr(event, "count", 0) for event in world.events)
    assert moved == 200_000


def test_an_upstream_that_never_answers_is_left_alone(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(30)]
    report = world.sync(*needs, upstreams=["http://127.0.0.1:1"], workers=1)
    assert len(report.failures) == 30
    said = [one.tried[0].sentence for one in report.failures]
    assert sum("left alone" in sentence for sentence in said) == 20

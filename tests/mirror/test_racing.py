"""Two who fill one mirror at once: nothing is lost, nothing wrong, and what they report adds up."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from crosprov.mirror.bucket import Bucket
from crosprov.mirror.events import Event, Listed, Moved
from crosprov.mirror.folder import Folder
from crosprov.mirror.model import Archive, Need
from crosprov.mirror.report import Kind, Report
from crosprov.mirror.stores import Store, Stored
from crosprov.mirror.sync import sync
from tests.mirror.syncing import World, archive_of, content, needs_of, only, world

__all__ = ["world"]

Opened = Callable[[], Store]


class Overtaken:
    """A store where somebody else publishes just before the first file is."""

    def __init__(self, store: Store, publish: Callable[[str], object]) -> None:
        self.place, self.list, self.find, self.read = (
            store.place, store.list, store.find, store.read,
        )  # fmt: skip
        self._store, self._publish, self._is_first = store, publish, True

    def create(self, name: str, content: Path, archive: Archive) -> Stored:
        """Be late."""
        if self._is_first:
            self._is_first = False
            self._publish(name)
        return self._store.create(name, content, archive)


@pytest.fixture(params=["folder", "bucket"])
def opened(request: pytest.FixtureRequest, world: World) -> Iterator[Opened]:
    """Open the mirror, as often as there are people for it."""
    made: list[Bucket] = []

    def opened() -> Store:
        if request.param == "folder":
            return Folder(str(world.mirror))
        made.append(Bucket("gs://mirror/distfiles", client=world.server.client(world.server.owner)))
        return made[-1]

    world.server.bucket("mirror")
    yield opened
    for bucket in made:
        bucket.close()


def _content(store: Store) -> Mapping[str, bytes]:
    return {name: b"".join(store.read(name)) for name in store.list()}


def _offered(world: World, count: int) -> list[Need]:
    needs = [world.need(f"foo-{n}.tar", content(30_000, n)) for n in range(count)]
    for name, data in world.files.items():
        world.offer(name, data)
    return needs


def test_who_finds_the_same_published_meanwhile_has_checked_it(
    world: World, opened: Opened
) -> None:
    needs = _offered(world, 2)

    def publish(name: str) -> None:
        path = world.path / "theirs"
        path.write_bytes(world.files[name])
        opened().create(name, path, archive_of(name, world.files[name]))

    late = Overtaken(opened(), publish)
    report = world.sync(*needs, store=late, workers=1)
    assert report.is_good and (report.fetched, report.checked) == (1, 1)
    assert (report.fetched_bytes, report.checked_bytes) == (30_000, 30_000)
    assert _content(opened()) == world.files
    again = world.sync(*needs, store=opened())
    assert again.is_good and (again.present, again.checked) == (2, 0), "it was noted"


@pytest.mark.parametrize("size", [30_000, 29_999])
def test_who_finds_another_content_published_meanwhile_says_so(
    world: World, opened: Opened, size: int
) -> None:
    needs = _offered(world, 2)
    theirs = content(size, "theirs")
    taken: list[str] = []

    def publish(name: str) -> None:
        taken.append(name)
        path = world.path / "theirs"
        path.write_bytes(theirs)
        opened().create(name, path, archive_of(name, theirs))

    late = Overtaken(opened(), publish)
    report = world.sync(*needs, store=late, workers=1)
    failure = only(report)
    assert (failure.name, failure.kind) == (taken[0], Kind.IMMUTABLE)
    mine = archive_of(failure.name, world.files[failure.name])
    for archive in (mine, archive_of(failure.name, theirs)):
        assert archive.hashes["BLAKE2B"] in failure.sentence
    assert "_YYYYMMDD.tar" in str(failure.hint)
    assert (report.fetched, report.checked) == (1, 0)
    assert _content(opened()) == {**world.files, failure.name: theirs}
    assert only(world.sync(*needs, store=opened())).kind is Kind.IMMUTABLE


def _together(runs: list[Callable[[], Report]]) -> list[Report]:
    """Run all at once, and give their reports."""
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda run=run: reports.append(run())) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(reports) == len(runs)
    return reports


def test_two_hosts_that_fill_one_bucket_at_once(world: World) -> None:
    needs, store = _offered(world, 12), "gs://mirror/distfiles"
    world.server.bucket("mirror")
    listed = threading.Barrier(2)  # both have seen that all is missing, then both fetch all

    def meet(event: Event) -> None:
        if isinstance(event, Listed):
            listed.wait(60)

    def run(state: str) -> Report:
        options = replace(world.options, state=world.path / state)
        bucket = Bucket(store, client=world.server.client(world.server.owner))
        try:
            return sync(needs_of(*needs), bucket, [world.upstream()], options, meet)
        finally:
            bucket.close()

    reports = _together([lambda: run("one"), lambda: run("two")])
    assert all(report.is_good for report in reports)
    assert [report.fetched + report.checked for report in reports] == [12, 12]
    assert sum(report.fetched for report in reports) == 12, "each file is published by one"
    names = {f"distfiles/{name}" for name in world.files}
    assert set(world.server.names("mirror")) == names
    assert all(world.server.read("mirror", f"distfiles/{n}") == d for n, d in world.files.items())
    versions = world.server.store.bucket("mirror").objects
    assert all(len(versions[name]) == 1 for name in names), "nothing was written twice"


@pytest.mark.parametrize("hashed", [False, True])
def test_two_syncs_of_one_folder_wait_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch, hashed: bool
) -> None:
    needs = _offered(world, 12)
    under_way, is_waiting = threading.Event(), threading.Event()

    def first(event: Event) -> None:
        if isinstance(event, Moved):
            under_way.set()
            assert is_waiting.wait(60)

    flock = fcntl.flock

    def noted(file: IO[str], how: int) -> None:
        """Lock as ever, and tell when that has to wait."""
        try:
            flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            is_waiting.set()
            flock(file, how)

    monkeypatch.setattr(fcntl, "flock", noted)

    def run(state: str, events: Callable[[Event], object]) -> Report:
        options = replace(world.options, state=world.path / state, wait=True, hashed=hashed)
        return sync(needs_of(*needs), world.store, [world.upstream()], options, events)

    def second() -> Report:
        assert under_way.wait(60)
        return run("two", lambda event: None)

    reports = _together([lambda: run("one", first), second])
    assert all(report.is_good for report in reports)
    one, two = sorted(reports, key=lambda report: report.fetched, reverse=True)
    assert (one.fetched, one.checked) == (12, 0)
    assert (two.fetched, two.checked, two.present) == (0, 12, 12)
    shown = {name: data for name, data in world.published().items() if name != "layout.conf"}
    assert shown == world.files

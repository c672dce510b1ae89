"""A sync with nothing to do: it reads neither trees nor ledger, and says what it would have."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crosprov.mirror import learning, sightings, sourced_memory
from crosprov.mirror import sync as syncing
from crosprov.mirror.config import Config, TreeSource
from crosprov.mirror.config_file import written
from crosprov.mirror.console import main
from crosprov.mirror.events import Event, Listed, Proven
from crosprov.mirror.folder import Folder
from crosprov.mirror.idle import FILE
from crosprov.mirror.ledger import Ledger
from crosprov.mirror.model import Fault, Tree
from crosprov.mirror.needs import needs_of
from crosprov.mirror.report import Report
from crosprov.mirror.survey import Survey
from crosprov.mirror.sync import sync
from crosprov.mirror.sync_options import LEDGER, Options
from crosprov.mirror.tree_memory import TreeMemory
from tests.mirror.growing import pass_a_tick
from tests.mirror.overlays import write_tree
from tests.mirror.syncing import QUICK

_TIMES = ("began", "ended", "last_good", "rate")
FILES = {"foo-1.zip": b"foo", "bar-1.zip": b"bar"}


@dataclass(frozen=True)
class Place:
    """A tree, and a mirror that has its files."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def options(self) -> Options:
        return Options(state=self.root / "state", workers=1, patience=QUICK)

    def sync(self, *, remembered: bool = True, events: Any = None, **changes: Any) -> Report:
        """Sync without upstreams, as the program does it, or without any memory of trees."""
        options = replace(self.options, **changes)
        memory = TreeMemory(options.state) if remembered else None
        needs = needs_of([Tree("one", self.root / "one", True)], memory=memory)
        return sync(needs, Folder(str(self.store)), (), options, events or (lambda event: None))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Begin with a mirror of which three syncs found that nothing is to be done."""
    monkeypatch.setattr(sightings, "REST", -3600.0)
    write_tree(tmp_path / "one", FILES)
    (tmp_path / "store").mkdir()
    for name, content in {**FILES, "stranger": b"x"}.items():
        (tmp_path / "store" / name).write_bytes(content)
    place = Place(tmp_path)
    assert [place.sync().checked for _ in range(3)] == [2, 0, 0]
    return place


def refuse(*given: object, **options: object) -> None:
    raise AssertionError("it was read")


def facts(report: Report) -> Report:
    """Give what a report says, apart from its times."""
    return replace(report, began=0.0, ended=0.0, last_good=None)


def test_a_sync_with_nothing_to_do_opens_no_ledger_and_reads_no_tree(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = place.sync(remembered=False)
    place.sync()
    events: list[Event] = []
    monkeypatch.setattr(syncing, "Ledger", refuse)
    monkeypatch.setattr(Survey, "walk", refuse)
    report = place.sync(events=events.append)
    assert facts(report) == facts(true)
    assert report.is_good and report.last_good == report.ended
    assert (report.needed, report.present, report.unknown) == (2, 2, 1)
    assert events == [Listed(0, 0, 0, 0)]
    last = json.loads((place.options.state / "last-sync.json").read_text())
    assert last["ended"] == report.ended and last["present"] == 2
    assert facts(place.sync(dry_run=True)) == replace(facts(true), what="dry-run")


@pytest.fixture
def new_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Begin with files that no sync has looked at."""
    monkeypatch.setattr(sightings, "REST", -3600.0)
    write_tree(tmp_path / "one", FILES)
    (tmp_path / "store").mkdir()
    for name, content in FILES.items():
        (tmp_path / "store" / name).write_bytes(content)
    place = Place(tmp_path)
    place.options.state.mkdir()
    return place


def test_the_sync_that_did_something_is_the_last_to_read(
    new_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new_place.sync()
    monkeypatch.setattr(syncing, "Ledger", refuse)
    monkeypatch.setattr(Survey, "walk", refuse)
    second = new_place.sync()
    assert first.checked == 2 and facts(second) == replace(facts(first), checked=0, checked_bytes=0)


def test_what_changes_behind_a_sync_is_found_by_the_next(new_place: Place) -> None:
    def spoil(event: Event) -> None:
        if event == Proven("foo-1.zip", 3):
            write_again(new_place.store / "foo-1.zip", b"fox")

    assert new_place.sync(events=spoil).is_good
    (failure,) = new_place.sync().failures
    assert failure.name == "foo-1.zip" and failure.kind == "replaced"


def test_what_is_kept_belongs_to_the_trees_that_were_read(new_place: Place) -> None:
    """Trees that change between the question and the reading are remembered as they are then."""
    root, trees = new_place.root, new_place.root / "one"
    new_place.sync()
    (root / "one").rename(root / "first")
    write_tree(root / "second", {"other-1.zip": b"other"}, package="dev-libs/other")
    (new_place.store / "other-1.zip").write_bytes(b"other")
    trees.symlink_to(root / "first")
    assert new_place.sync().needed == 2
    memory = TreeMemory(new_place.options.state)
    needs = needs_of([Tree("one", trees, True)], memory=memory)
    trees.unlink()
    trees.symlink_to(root / "second")
    (new_place.store / "stranger").write_bytes(b"x")
    assert sync(needs, Folder(str(new_place.store)), (), new_place.options).needed == 1
    trees.unlink()
    trees.symlink_to(root / "first")
    (new_place.store / "foo-1.zip").unlink()
    assert not new_place.sync().is_good


def test_a_ledger_that_cannot_be_kept_is_no_memory(
    new_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_commit", fail)
        assert new_place.sync().remarks
    assert new_place.sync().checked == 2


def fail(ledger: Ledger) -> None:
    raise sqlite3.OperationalError("disk is full")


def test_a_folder_that_cannot_be_listed_is_no_memory(
    new_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir

    def refused(path: str) -> list[str]:
        if str(path).endswith("/eclass"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return listed(path)

    (new_place.root / "one" / "eclass").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refused)
        needs = needs_of(
            [Tree("one", new_place.root / "one", True)],
            memory=TreeMemory(new_place.options.state),
        )
    assert needs.archives and not needs.mark


def test_parts_that_nobody_waits_for_are_removed_all_the_same(place: Place) -> None:
    part = place.store / ".crosprov-incoming" / "old.part"
    part.write_bytes(b"x")
    place.sync()
    assert not part.exists()


def write_again(path: Path, content: bytes) -> None:
    """Write a file anew that has the name."""
    path.unlink()
    path.write_bytes(content)


def doubt(place: Place) -> None:
    with closing(Ledger(place.options.state / LEDGER)) as ledger:
        ledger.doubt("foo-1.zip")


def add_ebuild(place: Place) -> None:
    write_tree(place.root / "one", {"new-1.zip": b"new"}, package="dev-libs/new")


def change_entry(place: Place) -> None:
    """Let the Manifest want another content of the same length."""
    path = place.root / "one/dev-libs/foo/Manifest"
    old, new = (hashlib.blake2b(one).hexdigest() for one in (b"foo", b"fox"))
    path.write_text(path.read_text().replace(old, new))


# What is done, what the next sync finds wrong, and how many files it reads.
CHANGES: Mapping[str, tuple[Callable[[Place], object], str | None, int]] = {
    "gone": (lambda place: (place.store / "foo-1.zip").unlink(), "no-source", 0),
    "replaced": (lambda place: write_again(place.store / "foo-1.zip", b"fox"), "replaced", 0),
    "overwritten": (lambda place: (place.store / "foo-1.zip").write_bytes(b"fox"), "replaced", 0),
    "copied": (lambda place: write_again(place.store / "foo-1.zip", b"foo"), None, 1),
    "a stranger": (lambda place: (place.store / "more").write_bytes(b""), None, 0),
    "no ledger": (lambda place: (place.options.state / LEDGER).unlink(), None, 2),
    "a doubt": (doubt, None, 1),
    "a new ebuild": (add_ebuild, "no-source", 0),
    "another entry": (change_entry, "immutable", 0),
    "memory damaged": (lambda place: (place.options.state / FILE).write_bytes(b"x"), None, 0),
    "memory gone": (lambda place: (place.options.state / FILE).unlink(), None, 0),
}


@pytest.mark.parametrize(("change", "kind", "checked"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_found_as_without_the_memory(
    place: Place, change: Callable[[Place], object], kind: str | None, checked: int
) -> None:
    pass_a_tick(place.root)
    change(place)
    looked = place.sync(dry_run=True)
    assert facts(looked) == facts(place.sync(dry_run=True, remembered=False))
    report = place.sync()
    assert [failure.kind for failure in report.failures] == ([kind] if kind else [])
    assert report.checked == checked
    assert facts(place.sync()) == facts(place.sync(remembered=False))


@pytest.mark.parametrize("changes", [{"restricted": True}, {"prove": False}, {"public": False}])
def test_other_options_are_another_question(
    place: Place, changes: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (place.options.state / FILE).read_bytes()
    place.sync(**changes)
    assert (place.options.state / FILE).read_bytes() != before
    monkeypatch.setattr(syncing, "Ledger", refuse)
    assert place.sync(**changes).is_good
    with pytest.raises(AssertionError):
        place.sync()


def test_the_hashed_layout_is_always_looked_after(place: Place) -> None:
    place.sync(hashed=True)
    (hashed,) = place.store.glob("*/foo-1.zip")
    place.sync(hashed=True)
    hashed.unlink()
    place.sync(hashed=True)
    assert hashed.exists()


def test_a_disk_that_is_not_mounted_is_a_fault_in_spite_of_the_memory(place: Place) -> None:
    place.store.rename(place.root / "elsewhere")
    place.store.mkdir()
    with pytest.raises(Fault, match="the mirror is empty"):
        place.sync()


def configured(place: Place, tree: Path) -> Path:
    """Write a configuration of the mirror with one tree."""
    config = Config(
        name="m",
        store=str(place.store),
        kind="automatic",
        source_uris=True,
        state=place.options.state,
        trees=(TreeSource(path=tree),),
    )
    path = place.root / "mirror.json"
    path.write_text(written(config))
    return path


def test_the_program_remembers_and_says_the_same_each_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = place.root / "one/dev-libs/foo/Manifest"
    manifest.write_text(manifest.read_text() + f"DIST unused-1.zip 1 BLAKE2B {'0' * 128}\n")
    path = configured(place, place.root / "one")
    words = ["sync", "--config", str(path), "--format", "json"]
    other = place.root / "other"
    assert main([*words, "--dry-run", "--state", str(other)]) == 0 and not other.exists()
    capsys.readouterr()
    said = []
    for number in range(4):
        if number == 3:
            monkeypatch.setattr(syncing, "Ledger", refuse)
        assert main(words) == 0
        answer = capsys.readouterr()
        report = {k: v for k, v in json.loads(answer.out).items() if k not in _TIMES}
        said.append((report, answer.err))
    assert said[1:] == [said[0]] * 3
    assert "unused-1.zip" in said[0][1]


def test_a_tree_without_cache_is_sourced_once_whatever_the_command(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree(place.root / "bare", FILES, cached=False)
    known = place.options.state / sourced_memory.FILE
    mirror = ["--config", str(configured(place, tree)), "--format", "json"]
    assert main(["sync", *mirror, "--dry-run"]) == 0 and not known.exists()
    assert "1 ebuild to source\n" in capsys.readouterr().err
    assert main(["sync", *mirror]) == 0
    assert "md5-cache: 1 ebuild was sourced\n" in capsys.readouterr().err
    monkeypatch.setattr(learning, "source", refuse)
    for command in (["verify"], ["needs"], ["sync", "--dry-run"], ["sync"]):
        assert main([command[0], *mirror, *command[1:]]) == 0
        answer = capsys.readouterr()
        assert "1 ebuild was sourced earlier" in answer.out + answer.err
    monkeypatch.setattr(syncing, "Ledger", refuse)
    monkeypatch.setattr(Survey, "walk", refuse)
    assert main(["sync", *mirror]) == 0
    assert "1 ebuild was sourced earlier" in capsys.readouterr().err

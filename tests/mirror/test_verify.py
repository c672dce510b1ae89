"""Verifying: what was changed behind the mirror's back is found, named, and left where it is."""

from __future__ import annotations

import os

import jsonschema
import pytest

from crosprov.mirror.report import Kind, as_text
from crosprov.mirror.report_json import SCHEMA, as_json
from tests.mirror.syncing import World, content, only, world

__all__ = ["world"]


def _replace(world: World, name: str, data: bytes) -> None:
    path = world.mirror / name
    path.chmod(0o644)
    path.write_bytes(data)


def test_an_untouched_mirror_is_good(world: World) -> None:
    needs = [world.need(f"foo-{n}.tar") for n in range(3)]
    for name, data in world.files.items():
        world.offer(name, data)
    world.sync(*needs)
    report = world.verify(*needs)
    assert report.is_good and report.checked == 3 and report.checked_bytes == 9000
    jsonschema.validate(as_json(report), SCHEMA)


def test_a_replaced_file_is_quarantined_and_never_removed(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    _replace(world, "foo-1.tar", content(3000, "evil"))
    report = world.verify(need)
    failure = only(report)
    assert failure.kind is Kind.REPLACED and report.quarantine == (failure,)
    assert "it was proven on" in failure.sentence
    assert need.archive.hashes["BLAKE2B"] in failure.sentence
    assert any("dev-libs/foo/foo-1.ebuild: foo-1.tar" in line for line in as_text(report))
    assert world.published() == {"foo-1.tar": content(3000, "evil")}
    assert only(world.sync(need)).kind is Kind.REPLACED
    assert only(world.verify(need)).kind is Kind.REPLACED


@pytest.mark.parametrize("size", [1, 4000])
def test_a_look_tells_a_damaged_file_from_a_manifest_that_changed(world: World, size: int) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    other = world.need("foo-1.tar", content(2000, "another version"))
    assert only(world.sync(other, dry_run=True)).kind is Kind.IMMUTABLE
    _replace(world, "foo-1.tar", content(size, "evil"))
    failure = only(world.sync(need, dry_run=True))
    assert failure.kind is Kind.REPLACED and "it was proven on" in failure.sentence
    assert only(world.sync(other, dry_run=True)).kind is Kind.IMMUTABLE


def test_what_was_unknown_is_said_with_the_right_number(world: World) -> None:
    for count, words in ((1, "of a.tar; its digest is now"), (2, "2 files, such as b.tar; their")):
        for name in ("a.tar", "b.tar", "c.tar")[count - 1 : 2 * count - 1]:
            world.mirror.mkdir(exist_ok=True)
            (world.mirror / name).write_bytes(b"x")
        (remark,) = world.verify().remarks
        assert words in remark


def test_a_file_that_rots_without_a_mark_is_found_and_not_trusted_again(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    store = world.store
    before = store.find("foo-1.tar")
    _replace(world, "foo-1.tar", content(3000, "rot"))
    after = store.find("foo-1.tar")
    assert before and after
    import sqlite3

    with sqlite3.connect(world.options.state / "ledger.sqlite") as base:
        base.execute("UPDATE proofs SET mark = ?", (after.mark,))
    base.close()
    assert world.sync(need).is_good
    assert only(world.verify(need)).kind is Kind.REPLACED
    assert only(world.sync(need)).kind is Kind.REPLACED


def test_a_person_who_moves_it_away_gets_the_true_one(world: World) -> None:
    need = world.need("foo-1.tar")
    other = world.need("foo-2.tar")
    for name, data in world.files.items():
        world.offer(name, data)
    world.sync(need, other)
    _replace(world, "foo-1.tar", b"evil")
    world.verify(need, other)
    os.rename(world.mirror / "foo-1.tar", world.path / "evidence")
    assert world.sync(need, other).fetched == 1
    assert world.verify(need, other).is_good and world.published() == world.files


def test_a_file_that_vanished_is_named(world: World) -> None:
    need, other = world.need("foo-1.tar"), world.need("foo-2.tar")
    for name, data in world.files.items():
        world.offer(name, data)
    world.sync(need, other)
    (world.mirror / "foo-1.tar").unlink()
    failure = only(world.verify(need, other))
    assert failure.kind is Kind.MISSING and "is gone" in failure.sentence


def test_files_of_no_tree_are_compared_with_what_they_were(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    (world.mirror / "stranger").write_bytes(b"who am I")
    report = world.verify()
    assert report.is_good and (report.checked, report.unknown) == (1, 1)
    _replace(world, "foo-1.tar", b"evil")
    assert only(world.verify()).kind is Kind.REPLACED


def test_what_was_proven_lately_can_wait(world: World) -> None:
    need = world.need("foo-1.tar")
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.sync(need)
    assert world.verify(need, older=3600).checked == 0
    _replace(world, "foo-1.tar", b"evil")
    assert only(world.verify(need, older=3600)).kind is Kind.REPLACED


def test_what_is_missing_is_no_quarantine(world: World) -> None:
    report = world.verify(world.need("foo-1.tar"))
    assert only(report).kind is Kind.MISSING and report.quarantine == ()

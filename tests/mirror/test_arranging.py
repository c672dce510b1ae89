"""The hashed layout: each file has its second name before layout.conf says so."""

from __future__ import annotations

import os
from errno import EIO, ENOSPC, EPERM
from pathlib import Path

import pytest

from crosprov.mirror.layouts import GENTOO
from crosprov.mirror.model import Archive, Need
from crosprov.mirror.report import Kind
from tests.mirror.syncing import World, content, only, world

__all__ = ["world"]

LAYOUT = "layout.conf"


def _offered(world: World, count: int) -> list[Need]:
    needs = [world.need(f"foo-{n}.tar") for n in range(count)]
    for name, data in world.files.items():
        world.offer(name, data)
    return needs


def _hashed(world: World, name: str) -> Path:
    return world.mirror / str(GENTOO.path(Archive(name, 0, {})))


def _foreign(world: World, name: str, data: bytes) -> Path:
    path = _hashed(world, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _is_linked(world: World, name: str) -> bool:
    hashed = _hashed(world, name)
    return hashed.exists() and hashed.samefile(world.mirror / name)


def test_files_that_no_tree_needs_any_more_get_their_second_name(world: World) -> None:
    needs = _offered(world, 3)
    world.sync(*needs)
    (world.mirror / "by-hand.tar").write_bytes(b"by hand")
    report = world.sync(*needs[1:], hashed=True)
    assert report.is_good and report.unknown == 2
    assert all(_is_linked(world, name) for name in [*world.files, "by-hand.tar"])
    assert (world.mirror / LAYOUT).exists()
    again = world.sync(*needs, hashed=True)
    assert again.is_good and again.checked == 0, "links are no reason to read a file again"


def test_names_that_no_manifest_can_have_are_left_alone(world: World) -> None:
    (need,) = _offered(world, 1)
    world.sync(need)
    odd = os.fsencode(world.mirror) + b"/caf\xe9\\.tar"
    with open(odd, "wb") as file:
        file.write(b"odd")
    assert world.sync(need, hashed=True).is_good
    assert os.stat(odd).st_nlink == 1


def test_a_file_behind_a_symbolic_link_gets_the_second_name(world: World) -> None:
    need = world.need("foo-0.tar")
    world.mirror.mkdir()
    (world.path / "elsewhere").write_bytes(world.files["foo-0.tar"])
    (world.mirror / "foo-0.tar").symlink_to("../elsewhere")
    for _ in range(2):
        assert world.sync(need, hashed=True).is_good
        assert _hashed(world, "foo-0.tar").read_bytes() == world.files["foo-0.tar"]


@pytest.mark.parametrize("data", [content(3000, "foreign"), b"short"])
@pytest.mark.parametrize("is_needed", [True, False])
def test_a_foreign_file_at_a_second_name_is_told_by_every_sync(
    world: World, data: bytes, is_needed: bool
) -> None:
    needs = _offered(world, 3)
    if not is_needed:
        world.sync(*needs)
    foreign = _foreign(world, "foo-1.tar", data)
    asked = needs if is_needed else [needs[0], needs[2]]
    for fetched in (3 if is_needed else 0, 0):
        report = world.sync(*asked, hashed=True)
        failure = only(report)
        assert (failure.name, failure.kind) == ("foo-1.tar", Kind.STORE)
        assert "is not foo-1.tar" in failure.sentence and "move it away" in str(failure.hint)
        assert bool(failure.needed_by) == is_needed
        assert report.fetched == fetched and not report.is_good
        assert "is not written" in report.remarks[0] and "1 file" in report.remarks[0]
        assert not (world.mirror / LAYOUT).exists() and foreign.read_bytes() == data
    assert all(_is_linked(world, name) for name in ("foo-0.tar", "foo-2.tar"))
    foreign.unlink()
    report = world.sync(*asked, hashed=True)
    assert report.is_good and report.checked == 0 and (world.mirror / LAYOUT).exists()
    assert _is_linked(world, "foo-1.tar")


def test_a_layout_conf_that_became_untrue_is_named_each_time(world: World) -> None:
    first, second = _offered(world, 2)
    world.sync(first, hashed=True)
    _foreign(world, "foo-1.tar", b"foreign")
    for _ in range(2):
        report = world.sync(first, second, hashed=True)
        assert only(report).name == "foo-1.tar"
        assert "promises what is not so" in report.remarks[0]
        assert (world.mirror / LAYOUT).exists()


def test_the_same_content_at_a_second_name_will_do(world: World) -> None:
    (need,) = _offered(world, 1)
    _foreign(world, "foo-0.tar", world.files["foo-0.tar"])
    for _ in range(2):
        assert world.sync(need, hashed=True).is_good
        assert (world.mirror / LAYOUT).exists()


def test_a_file_where_a_folder_has_to_be_is_named(world: World) -> None:
    (need,) = _offered(world, 1)
    world.mirror.mkdir()
    folder = _hashed(world, "foo-0.tar").parent
    folder.write_bytes(b"in the way")
    failure = only(world.sync(need, hashed=True))
    assert failure.sentence.startswith(f"{folder.name} is a file")
    assert world.published()["foo-0.tar"] == world.files["foo-0.tar"]


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("error", [EIO, EPERM, ENOSPC])
def test_layout_conf_waits_for_the_last_link(
    world: World, monkeypatch: pytest.MonkeyPatch, nth: int, error: int, is_there: bool
) -> None:
    needs = _offered(world, 4)
    if is_there:
        world.sync(*needs)
    link, calls = os.link, 0

    def failing(source: str, target: str) -> None:
        """Make links as ever, but for the n-th of the second names, and those after a full disk."""
        nonlocal calls
        if Path(target).parent == world.mirror:
            assert Path(target).name != LAYOUT
        else:
            calls += 1
            if calls == nth or (calls > nth and error == ENOSPC):
                raise OSError(error, os.strerror(error))
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing)
        report = world.sync(*needs, hashed=True, workers=1)
    failure = only(report)
    said = "no space left" if error == ENOSPC else "cannot be linked"
    assert failure.kind is Kind.STORE and said in failure.sentence
    assert bool(report.stopped) == (error == ENOSPC)
    assert not (world.mirror / LAYOUT).exists()
    assert not _is_linked(world, failure.name)
    last = world.sync(*needs, hashed=True)
    assert last.is_good and (world.mirror / LAYOUT).exists()
    assert all(_is_linked(world, name) for name in world.files)


def test_a_layout_conf_that_cannot_be_written_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (need,) = _offered(world, 1)
    link = os.link

    def failing(source: str, target: str) -> None:
        if Path(target).name == LAYOUT:
            raise OSError(EIO, os.strerror(EIO))
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing)
        report = world.sync(need, hashed=True)
    assert not report.is_good and "layout.conf cannot be written" in str(report.stopped)
    assert world.sync(need, hashed=True).is_good

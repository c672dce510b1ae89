from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin import rootfs
from crosprov.twin.rootfs import Machine

MACHINE = Machine("bookworm", (), (), "")


def nothing(_: str) -> None:
    return


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Stand in for mmdebstrap, which has its real run when a lab boots."""
    calls: list[Sequence[str]] = []

    def run(*argv: str, **_: object) -> str:
        calls.append(argv)
        tree = Path(next(word for word in argv if word.endswith("/root")))
        (tree / "etc").mkdir(parents=True)
        return ""

    monkeypatch.setattr(rootfs, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(rootfs, "run", run)
    return calls


def test_it_is_built_once(tmp_path: Path, built: list[Sequence[str]]) -> None:
    said: list[str] = []
    first = rootfs.ensure(tmp_path, said.append)
    assert rootfs.ensure(tmp_path, said.append) == first
    assert (len(built), len(said)) == (1, 1)
    assert (first / "etc").is_dir()


def test_what_a_killed_build_left_is_never_used_and_removed(
    tmp_path: Path, built: list[Sequence[str]]
) -> None:
    half = tmp_path / "rootfs/building-1/root"
    half.mkdir(parents=True)
    there = rootfs.ensure(tmp_path, nothing)
    assert [path.name for path in (tmp_path / "rootfs").iterdir()] == [there.name]
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing(
    tmp_path: Path, built: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: str, **__: object) -> str:
        raise TwinError("unshare failed: no route to the archive")

    monkeypatch.setattr(rootfs, "run", fail)
    with pytest.raises(TwinError, match="no route to the archive") as caught:
        rootfs.ensure(tmp_path, nothing)
    assert caught.value.hint
    assert not list((tmp_path / "rootfs").iterdir())
    assert built == []


def test_the_recipe_s_key_changes_with_what_goes_in(tmp_path: Path) -> None:
    sources = tmp_path / "debian.sources"
    keys = [MACHINE.key, Machine("trixie", (), (), "").key, Machine("bookworm", (), (), "x").key]
    for text in ("URIs: http://one.example.com", "URIs: http://two.example.com"):
        sources.write_text(text)
        keys.append(Machine("bookworm", (sources,), (), "").key)
        keys.append(Machine("bookworm", (), (sources,), "").key)
    assert len(set(keys)) >= 5
    sources.write_text("URIs: http://one.example.com")
    assert Machine("bookworm", (sources,), (), "").key == keys[3]

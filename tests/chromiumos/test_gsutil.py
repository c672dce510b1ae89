"""The gsutil that chromite finds in its cache: complete or not there, and sent once."""

from __future__ import annotations

import getpass
import io
import shutil
import tarfile
from functools import partial
from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.operations import gsutil as operations
from crosprov.planning.plan import Change
from tests.support.machine import Machine

ME = getpass.getuser()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    (tmp_path / "host").mkdir()
    made = Machine(tmp_path / "host")
    made.install()
    return made


def folder(root: Path, version: str = "5.4") -> Path:
    """Make a folder as an archive of gsutil holds it."""
    top = root / "gsutil"
    (top / "third_party/crcmod").mkdir(parents=True)
    (top / "gsutil").write_text("#!/bin/sh\n")
    (top / "gsutil").chmod(0o755)
    (top / "VERSION").write_text(f"{version}\n")
    return top


def archive(root: Path, **given: str) -> Path:
    """Pack it as Google does."""
    path = root / "gsutil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder(root, **given), "gsutil")
    return path


def seed_of(cache: Path) -> str:
    """Read of what the cache was filled, as the fact does."""
    mark = cache / "common/gsutil_5.4.tar.gz/.crosprov"
    return mark.read_text().strip() if mark.exists() else ""


def apply(machine: Machine, cache: Path, source: Path) -> tuple[Change, ...]:
    return machine.apply(
        partial(
            operations.gsutil, str(cache), "5.4", source=source, seed=seed_of(cache), user=ME
        )
    )  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
def test_it_is_filled_once(machine: Machine, tmp_path: Path, packed: bool) -> None:
    source = archive(tmp_path) if packed else folder(tmp_path)
    cache = tmp_path / "cache"
    assert [change.resource.kind for change in apply(machine, cache, source)] == ["gsutil"]
    top = cache / "common/gsutil_5.4.tar.gz/gsutil"
    assert (top / "gsutil").stat().st_mode & 0o111
    assert (top / "third_party/crcmod/.chromite.tried.build").exists()
    assert [path.name for path in (cache / "common").iterdir()] == ["gsutil_5.4.tar.gz"]
    assert apply(machine, cache, source) == ()


def test_a_changed_source_replaces_it(machine: Machine, tmp_path: Path) -> None:
    cache, source = tmp_path / "cache", folder(tmp_path)
    apply(machine, cache, source)
    (source / "more").write_text("x")
    assert len(apply(machine, cache, source)) == 1
    assert (cache / "common/gsutil_5.4.tar.gz/gsutil/more").read_text() == "x"


def test_what_an_interrupted_run_left_does_no_harm(machine: Machine, tmp_path: Path) -> None:
    cache, source = tmp_path / "cache", archive(tmp_path)
    (cache / "common/.gsutil.crosprov/gsutil").mkdir(parents=True)
    (cache / "common/.gsutil.crosprov.tar").write_text("half")
    (cache / "common/gsutil_5.4.tar.gz").mkdir()  # chromite's own, given up half way
    apply(machine, cache, source)
    assert [path.name for path in (cache / "common").iterdir()] == ["gsutil_5.4.tar.gz"]
    assert seed_of(cache)


def test_a_folder_packs_to_the_same_bytes_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    here = folder(tmp_path / "here")
    there = tmp_path / "there"
    shutil.copytree(here, there)
    (there / "__pycache__").mkdir()
    (there / "__pycache__/x.pyc").touch()
    first = operations.packed(here)
    assert operations.packed(there) == first == operations.packed(here.parent)


@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("gsutil/README", "has no gsutil/gsutil"),
        ("../gsutil/gsutil", "has no gsutil/gsutil"),
        ("text", "is no archive of gsutil"),
    ],
)
def test_what_is_no_gsutil_is_refused(
    machine: Machine, tmp_path: Path, member: str | None, sentence: str
) -> None:
    source = tmp_path / "x.tar"
    if member == "text":
        source.write_text("hello")
    elif member is not None:
        with tarfile.open(source, "w") as tar:
            tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(PlanError, match=sentence):
        apply(machine, tmp_path / "cache", source)


def test_other_folders_in_the_archive_are_refused(machine: Machine, tmp_path: Path) -> None:
    source = archive(tmp_path)
    with tarfile.open(tmp_path / "y.tar", "w") as tar:
        tar.add(tmp_path / "gsutil", "gsutil")
        tar.add(source, "etc/passwd")
    with pytest.raises(PlanError, match="has etc/passwd beside the folder gsutil"):
        apply(machine, tmp_path / "cache", tmp_path / "y.tar")


def test_another_version_is_refused(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"is gsutil 4\.9, and the checkout's chromite uses 5\.4"):
        apply(machine, tmp_path / "cache", archive(tmp_path, version="4.9"))


def test_a_folder_without_the_program_is_refused(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="has no program gsutil"):
        apply(machine, tmp_path / "cache", tmp_path)

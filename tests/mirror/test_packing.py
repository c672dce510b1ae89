"""Archives of one's own: the same bytes each time, laid out as the policy wants them."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tarfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from crosprov.mirror.admission import judge, judge_own_name
from crosprov.mirror.model import Fault
from crosprov.mirror.packing import Compressor, Packed, pack
from crosprov.mirror.tarball import Listing, write_tar

NAME = "some-project-0.0.1"
_CAT = shutil.which("cat")
EPOCH = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1000000000"}


def _folder(parent: Path, name: str = NAME) -> Path:
    folder = parent / name
    (folder / "b" / "empty").mkdir(parents=True)
    (folder / "b" / "data").write_bytes(b"data" * 1000)
    (folder / "a").write_text("text\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o4751)
    (folder / ("n" * 150)).write_text("a long name\n")
    (folder / "ümlaut name").write_text("")
    (folder / "link").symlink_to("b/data")
    os.link(folder / "a", folder / "z-hard")
    return folder


def _pack(
    folder: Path, output: Path, environment: dict[str, str] | None = None, **options: object
) -> Packed:
    output.mkdir(exist_ok=True)
    chosen = EPOCH if environment is None else environment
    return pack(folder, output, judge=judge_own_name, environment=chosen, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "compressor",
    [
        "xz",
        pytest.param(
            "pixz", marks=pytest.mark.skipif(not shutil.which("pixz"), reason="there is no pixz")
        ),
    ],
)
def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, compressor: Compressor) -> None:
    one = _folder(tmp_path / "x")
    old = os.umask(0o077)
    try:
        other = tmp_path / "y" / NAME
        shutil.copytree(one, other, symlinks=True)
        (other / "a").chmod(0o600)
    finally:
        os.umask(old)
    loud = EPOCH | {"XZ_OPT": "-0 --threads=1", "XZ_DEFAULTS": "-1"}
    first = _pack(one, tmp_path / "1", compressor=compressor)
    second = _pack(other, tmp_path / "2", loud, compressor=compressor)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.path.name == f"{NAME}.tar.xz" and first.size == first.path.stat().st_size
    assert (first.files, first.time, first.fresh) == (6, 1_000_000_000, True)


def test_what_is_inside(tmp_path: Path) -> None:
    found = _pack(_folder(tmp_path), tmp_path / "out")
    with tarfile.open(found.path) as archive:
        members = archive.getmembers()
        data = archive.extractfile(f"{NAME}/b/data")
        assert data is not None and data.read() == b"data" * 1000
    names = [member.name for member in members]
    assert names[0] == NAME and names == sorted(names, key=os.fsencode)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {
        (0, 0, "", "", 1_000_000_000)
    }
    modes = {member.name.removeprefix(f"{NAME}/"): member.mode for member in members}
    assert (modes["run"], modes["a"], modes["b"]) == (0o755, 0o644, 0o755)
    kinds = {member.name.removeprefix(f"{NAME}/"): member.type for member in members}
    assert kinds["link"] == tarfile.SYMTYPE and kinds["z-hard"] == tarfile.REGTYPE
    assert not judge(found.path, found.path.name, "mirror", (), True)
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "out").iterdir()] == [found.path.name]


def test_threads_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path)
    (folder / "large").write_bytes(os.urandom(1 << 18) * 10)
    contents = set()
    for count in (1, 2, 5):
        cores = frozenset(range(count))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        contents.add(_pack(folder, tmp_path / str(count), level=0).path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize(
    ("compressor", "expected"),
    [("xz", "--compress --stdout -6 --threads={}"), ("pixz", "-6 -p{}")],
)
def test_compressors_are_told_to_use_all_cores_and_never_a_single_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compressor: Compressor,
    expected: str,
    cores: int,
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / compressor).write_text(f'#!/bin/sh\necho "$*" >{tools}/words\nexec {_CAT}\n')
    (tools / compressor).chmod(0o755)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: frozenset(range(cores)))
    environment = EPOCH | {"PATH": str(tools)}
    _pack(_folder(tmp_path), tmp_path / "out", environment, compressor=compressor)
    assert (tools / "words").read_text() == f"{expected.format(max(2, cores))}\n"


def _git(folder: Path, *words: str) -> None:
    who = {"GIT_AUTHOR_DATE": "1200000000 +0000", "GIT_COMMITTER_DATE": "1200000000 +0000"}
    who |= {f"GIT_{role}_{key}": "a@example.com" for role in ("AUTHOR", "COMMITTER")
            for key in ("NAME", "EMAIL")}  # fmt: skip
    subprocess.run(
        ["git", "-C", folder, *words],
        check=True,
        capture_output=True,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )


def test_where_the_time_comes_from(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    quiet = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(tmp_path)}
    for path in folder.rglob("*"):
        os.utime(path, (1.1e9, 1.1e9), follow_symlinks=False)
    assert _pack(folder, tmp_path / "1", quiet).time_from == "the newest file"
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message=first")
    clean = _pack(folder, tmp_path / "2", quiet)
    assert (clean.time, clean.time_from) == (1_200_000_000, "the newest commit")
    assert clean.left_out == (f"{NAME}/.git",)
    (folder / "new").write_text("not committed")
    assert _pack(folder, tmp_path / "3", quiet).time_from == "the newest file"
    assert _pack(folder, tmp_path / "4").time_from == "SOURCE_DATE_EPOCH"


@pytest.mark.parametrize("value", ["", "now", "-1", "1.5", "١", "99999999999999"])
def test_a_time_that_is_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(Fault, match="SOURCE_DATE_EPOCH"):
        _pack(_folder(tmp_path), tmp_path / "out", EPOCH | {"SOURCE_DATE_EPOCH": value})


def test_an_archive_that_is_there_stays(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    first = _pack(folder, tmp_path / "out")
    assert not _pack(folder, tmp_path / "out").fresh
    before = first.path.read_bytes()
    (folder / "a").write_text("changed\n")
    with pytest.raises(Fault, match="another file of this name") as raised:
        _pack(folder, tmp_path / "out")
    assert "next version" in (raised.value.hint or "")
    assert first.path.read_bytes() == before
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("name", ["files", "some-project", "1.0"])
def test_names_that_the_policy_is_against(tmp_path: Path, name: str) -> None:
    with pytest.raises(Fault, match="cannot be the archive's name"):
        _pack(_folder(tmp_path, name), tmp_path / "out")


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def _only_folders(folder: Path) -> None:
    shutil.rmtree(folder)
    (folder / "inner").mkdir(parents=True)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(folder / "s"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_no_folder, "no such folder"),
        (_file, "this is a file, and a folder is packed"),
        (_only_folders, "holds no file"),
        (_pipe, "neither a file"),
        (_socket, "neither a file"),
    ],
)
def test_folders_that_cannot_be_packed(
    tmp_path: Path, spoil: object, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path)
    monkeypatch.chdir(folder)
    assert callable(spoil)
    spoil(folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match=expected):
        _pack(folder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_archive_does_not_go_into_itself(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    for output in (folder, folder / "b"):
        with pytest.raises(Fault, match="into the folder that goes into it"):
            _pack(folder, output)


@pytest.mark.parametrize("change", [b"grown by something", b""])
def test_a_file_that_changes_meanwhile(
    tmp_path: Path, change: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path)

    def late(listing: Listing, out: IO[bytes], when: int) -> None:
        (folder / "b" / "data").write_bytes(change)
        write_tar(listing, out, when)

    monkeypatch.setattr("crosprov.mirror.packing.write_tar", late)
    with pytest.raises(Fault, match="it changed while it was packed"):
        _pack(folder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (None, "is not installed"),
        ("echo broken >&2; cat >/dev/null; exit 3", "xz failed: broken"),
        ("exit 1", "xz failed: status 1"),
    ],
)
def test_compressors_that_fail(tmp_path: Path, program: str | None, expected: str) -> None:
    folder = _folder(tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    if program is not None:
        (tools / "xz").write_text(f"#!/bin/sh\nPATH={os.environ['PATH']}\n{program}\n")
        (tools / "xz").chmod(0o755)
    with pytest.raises(Fault, match=expected):
        _pack(folder, tmp_path / "out", EPOCH | {"PATH": str(tools)})
    assert list((tmp_path / "out").iterdir()) == []


def test_two_at_once_make_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    found: list[Packed] = []
    threads: Sequence[threading.Thread] = [
        threading.Thread(target=lambda: found.append(_pack(folder, tmp_path / "out")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.fresh for one in found) == [False, False, False, True]

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.errors import HostSilent, PlanError
from crosprov.operations import files, merge
from crosprov.secrets import vault
from tests.support.machine import Machine, summary


@pytest.fixture
def path(machine: Machine) -> Path:
    return machine.root / "etc" / "some file.conf"


def test_a_missing_file_and_its_directory_are_made(machine: Machine, path: Path) -> None:
    (change,) = machine.apply(lambda: merge.settings(str(path), {"A": "1"}, mode="0640"))
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("A=1\n", 0o640)
    assert change.diff == "@@ -0,0 +1 @@\n+A=1"
    assert machine.plan(lambda: merge.settings(str(path), {"A": "1"})).empty


@pytest.mark.parametrize(
    "wish",
    [
        lambda path: merge.settings(path, {"A": None}),
        lambda path: merge.settings(path, {}),
        lambda path: merge.block(path, None),
    ],
)
def test_no_file_is_made_for_nothing(
    machine: Machine, path: Path, wish: Callable[[str], object]
) -> None:
    assert machine.plan(lambda: wish(str(path))).empty


def test_mode_and_owner_of_others_stay(machine: Machine, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xe9=1\r\nA=0\r\n")
    path.chmod(0o604)
    os.chown(path, 12, 34)
    (change,) = machine.apply(lambda: merge.settings(str(path), {"A": "1"}, restarts=["x.service"]))
    assert path.read_bytes() == b"\xe9=1\r\nA=1\r\n"
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o604, 12, 34)
    assert change.restarts == ("x.service",)
    assert machine.due() == ["x.service"]


def test_several_wishes_for_a_file_add_up_in_one_round_trip(machine: Machine, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("keep\n")

    def wanted() -> None:
        merge.settings(str(path), {"A": "1"})
        merge.block(str(path), "hello", marker="one")
        merge.line(str(path), "Port 22", match="^#?Port")

    plan = machine.plan(wanted)
    assert plan.round_trips == 1
    assert len(plan.changes) == 3
    machine.apply(wanted)
    assert path.read_text() == "keep\nA=1\n# BEGIN one\nhello\n# END one\nPort 22\n"
    assert machine.plan(wanted).empty


def test_a_line_in_a_file_of_this_plan(machine: Machine, path: Path) -> None:
    def wanted() -> None:
        files.file(str(path), "x\n")
        merge.line(str(path), "y")

    machine.apply(wanted)
    assert path.read_text() == "x\ny\n"


def test_a_secret_is_in_the_file_and_nowhere_else(machine: Machine, path: Path) -> None:
    token = vault.add("s3cr3t-value", "env LAB_TOKEN")
    plan = machine.plan(lambda: merge.settings(str(path), {"TOKEN": token}))
    assert "s3cr3t-value" not in plan.model_dump_json()
    machine.apply(lambda: merge.settings(str(path), {"TOKEN": token}))
    assert path.read_text() == "TOKEN=s3cr3t-value\n"
    assert machine.plan(lambda: merge.settings(str(path), {"TOKEN": token})).empty


def make_directory(path: Path) -> None:
    path.mkdir(parents=True)


def make_link(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("elsewhere")


def make_binary(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"A=\0")


def make_large(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x" * (1024 * 1024 + 1))


def make_torn(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("# BEGIN crosprov\n")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_directory, "is a directory"),
        (make_link, "is a link to elsewhere"),
        (make_binary, "is not a text file"),
        (make_large, "1048577 bytes"),
        (make_torn, "some file.conf: line 1"),
    ],
)
def test_what_cannot_be_merged_is_said(
    machine: Machine, path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(path)
    with pytest.raises(PlanError, match=says):
        machine.plan(lambda: merge.block(str(path), "x"))


def test_a_device_is_never_read(machine: Machine) -> None:
    with pytest.raises(PlanError, match="/dev/zero is a"):
        machine.plan(lambda: merge.block("/dev/zero", "x"))


def test_a_run_that_is_killed_leaves_the_old_file_whole(machine: Machine, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("A=0\nB=2\n")
    kill = machine.root / "bin" / "mv"
    kill.write_text("#!/bin/sh\nkill -9 0\n")
    kill.chmod(0o755)
    wanted = {"A": "1"}
    with pytest.raises(HostSilent):
        machine.apply(lambda: merge.settings(str(path), wanted, restarts=["x.service"]))
    assert path.read_text() == "A=0\nB=2\n"
    kill.unlink()
    assert summary(machine.plan(lambda: merge.settings(str(path), wanted))) == [f"~ file {path}"]
    machine.apply(lambda: merge.settings(str(path), wanted, restarts=["x.service"]))
    assert path.read_text() == "A=1\nB=2\n"
    assert machine.due() == ["x.service"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]

"""The migration of Dome's database, carried out with a docker that notes how it is called."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from crosprov.operations.dome import DATABASE, DatabaseFact, DatabaseState
from crosprov.planning.plan import Shell
from tests.deploys import labs

DOCKER = """\
#!/bin/sh
echo "$*" >> {folder}/calls
case $1 in
  ps) printf 'dome_uwsgi\\nother\\ndome_nginx\\n';;
  run) [ ! -e {folder}/fails ];;
  image) echo sha256:new;;
esac
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Give the script that migrates, with its folders in the test's own."""
    lab = labs.read(
        tmp_path, ("factory_server: {", f"factory_server: {{shared_dir: {tmp_path}/shared, ")
    )
    model = replace(labs.model(lab, "factory1"), state_dir=f"{tmp_path}/state")
    drawing = labs.fresh().plan(model)
    (change,) = [change for change in drawing.changes if change.resource.kind == "database"]
    (step,) = change.steps
    assert isinstance(step, Shell)
    (tmp_path / "shared/dome/log").mkdir(parents=True)
    (tmp_path / "docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    return step.command


def run(folder: Path, script: str) -> int:
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", script], env=environment, timeout=60, check=False)
    return done.returncode


def test_dome_is_stopped_while_its_database_is_migrated(tmp_path: Path, script: str) -> None:
    database = tmp_path / "shared/dome/db.sqlite3"
    assert run(tmp_path, script) == 0
    assert database.read_bytes() == b""
    assert (tmp_path / "state/dome-migrated").read_text() == "sha256:new\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["ps", "stop", "run", "image", "start"]
    assert calls[1] == "stop dome_uwsgi dome_nginx"
    assert f"-v {database}:{DATABASE}" in calls[2]
    assert "--pull never" in calls[2] and "python3 manage.py migrate" in calls[2]


def test_data_stays(tmp_path: Path, script: str) -> None:
    (tmp_path / "shared/dome/db.sqlite3").write_bytes(b"precious")
    assert run(tmp_path, script) == 0
    assert (tmp_path / "shared/dome/db.sqlite3").read_bytes() == b"precious"


def test_after_a_migration_that_failed_dome_runs_and_nothing_is_recorded(
    tmp_path: Path, script: str
) -> None:
    (tmp_path / "fails").touch()
    assert run(tmp_path, script) != 0
    assert (tmp_path / "calls").read_text().endswith("start dome_uwsgi dome_nginx\n")
    assert not (tmp_path / "state/dome-migrated").exists()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, DatabaseState("absent", "ok", "sha256:new", "")),
        (lambda path: path.touch(), DatabaseState("file", "ok", "sha256:new", "")),
        (lambda path: path.mkdir(), DatabaseState("other", "ok", "sha256:new", "")),
        (lambda path: path.symlink_to("x"), DatabaseState("other", "ok", "sha256:new", "")),
    ],
    ids=["absent", "file", "directory", "link to nothing"],
)
def test_the_database_is_observed(tmp_path: Path, make: object, expected: DatabaseState) -> None:
    assert callable(make)
    (tmp_path / "docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    make(tmp_path / "db")
    fact = DatabaseFact()
    command = fact.command(str(tmp_path / "db"), "an/image", str(tmp_path / "record"))
    done = subprocess.run(
        ["sh", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=60, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert fact.process(done.stdout.splitlines()) == expected

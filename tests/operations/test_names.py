"""Operations have short names in pyinfra's own program, and crosprov's plan does not use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from crosprov.operations import files
from tests.support.machine import Machine

DEPLOY = """\
from crosprov.operations import files
from crosprov.operations.packages import packages

files.file("{folder}/a", "a long content")
files.absent(path="{folder}/b")
packages(["sed", "grep"])
files.file("{folder}/c", "other content", name="a name of its own")
"""


def test_pyinfra_shows_what_an_operation_is_about(tmp_path: Path) -> None:
    deploy = tmp_path / "deploy.py"
    deploy.write_text(DEPLOY.format(folder=tmp_path))
    pyinfra = Path(sys.executable).with_name("pyinfra")
    done = subprocess.run(
        [pyinfra, "--dry", "@local", deploy.name], cwd=tmp_path, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    names = (
        f"file {tmp_path}/a",
        f"absent {tmp_path}/b",
        "packages sed, grep",
        "a name of its own",
    )
    assert [name for name in names if f"    {name} " not in said] == []
    assert "content" not in said


def test_a_plan_names_the_operation_itself(machine: Machine) -> None:
    path = str(machine.state_dir.parent / "a")
    (change,) = machine.plan(lambda: files.file(path, "text")).changes
    assert change.operation == "files.file"

"""What of an environment on a host is noticed when it changes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.facts.environments import LISTING


def listed(folder: Path) -> str:
    done = subprocess.run(["sh", "-c", LISTING], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Stand for an environment that was made at some time."""
    (tmp_path / "lib/__pycache__").mkdir(parents=True)
    for name in ("lib/module.py", "lib/odd name", "lib/__pycache__/module.pyc", "complete"):
        (tmp_path / name).write_text("content")
        os.utime(tmp_path / name, (1_700_000_000, 1_700_000_000))
    return tmp_path


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited, of the same size": lambda path: path.write_text("CONTENT"),
    "cut": lambda path: os.truncate(path, 3),
    "removed": lambda path: path.unlink(),
    "executable": lambda path: path.chmod(0o755),
    "one more": lambda path: path.with_name("more.py").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(made: Path, change: str) -> None:
    before = listed(made)
    CHANGES[change](made / "lib/module.py")
    assert listed(made) != before


def test_what_python_and_crosprov_write_themselves_is_none(made: Path) -> None:
    before = listed(made)
    (made / "lib/__pycache__/module.pyc").write_text("compiled anew")
    (made / "lib/other.pyc").touch()
    (made / "complete.part").touch()
    assert listed(made) == before

"""Where the other contenders live: a virtual environment for each, made once and kept."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from bench.measure import BenchError
from crosprov.locks import locked

_ANSIBLE = "ansible-core>=2.18,<2.21"


def ansible(cache: Path) -> Path:
    """Return the directory of Ansible's commands, installing them when they are missing."""
    return _ensure(cache / "ansible", _ANSIBLE)


def pyinfra(cache: Path) -> Path:
    """Return the directory of the pyinfra command, of the version that crosprov uses."""
    return _ensure(cache / "pyinfra", f"pyinfra=={version('pyinfra')}")


def _ensure(home: Path, requirement: str) -> Path:
    stamp = home / "requirement"
    with locked(home.with_suffix(".lock")):
        if not (stamp.is_file() and stamp.read_text() == requirement):
            _run(sys.executable, "-m", "venv", "--clear", str(home))
            _run(str(home / "bin/python"), "-m", "pip", "install", "--quiet", requirement)
            _run(str(home / "bin/python"), "-m", "compileall", "-q", str(home / "lib"))
            stamp.write_text(requirement)
    return home / "bin"


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        end = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise BenchError(f"{' '.join(argv[:4])} failed: {end}")

"""The bucket server as a program of its own, as it runs on a bare host."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import bucket as package


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    for name, data in {"one/a.txt": b"a", "one/dir/b c.txt": b"bc", "two/d": b"d"}.items():
        path = tmp_path / "seed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "seed"


def _command(folder: Path, *words: str | Path) -> list[str]:
    """Return a command that runs a copy of the package, with the standard library alone."""
    shutil.copytree(Path(package.__path__[0]), folder / "bucket")
    return [sys.executable, "-I", "-S", "-c", _RUN, str(folder), *map(str, words)]


# -I keeps the folder of the copy off the path, and -S what is installed.
_RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("bucket", run_name="__main__", alter_sys=True)
"""


@contextlib.contextmanager
def _running(folder: Path, *words: str | Path) -> Iterator[str]:
    portfile = folder / "port"
    program = subprocess.Popen(_command(folder, "--portfile", portfile, *words))
    try:
        end = time.monotonic() + 20
        while not portfile.exists():
            assert program.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        yield f"http://127.0.0.1:{portfile.read_text().strip()}"
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(20) == 0
    finally:
        program.kill()
        program.wait()


def test_folders_are_buckets(tmp_path: Path, seeded: Path) -> None:
    with _running(tmp_path, "--seed", seeded, "--token", "t=me@example.com") as url:
        assert requests.get(f"{url}/one/dir/b%20c.txt", timeout=20).content == b"bc"
        listed = requests.get(f"{url}/storage/v1/b/one/o", timeout=20).json()
        assert [item["name"] for item in listed["items"]] == ["a.txt", "dir/b c.txt"]
        assert listed["items"][0]["crc32c"] == "wdBDMA=="
        place = f"{url}/upload/storage/v1/b/two/o?uploadType=media&name=e"
        assert requests.post(place, data=b"e", timeout=20).status_code == 401
        headers = {"Authorization": "Bearer t"}
        assert requests.post(place, data=b"e", headers=headers, timeout=20).status_code == 200
        assert requests.get(f"{url}/two/e", timeout=20).content == b"e"
    assert sorted(path.name for path in seeded.rglob("*") if path.is_file()) == [
        "a.txt",
        "b c.txt",
        "d",
    ]


def test_faults_from_a_file(tmp_path: Path, seeded: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"path": "/one/a", "nth": 2, "status": 503}]))
    with _running(tmp_path, "--seed", seeded, "--faults", faults, "--writable") as url:
        found = [requests.get(f"{url}/one/a.txt", timeout=20).status_code for _ in range(3)]
        assert found == [200, 503, 200]
        place = f"{url}/upload/storage/v1/b/two/o?uploadType=media&name=e"
        assert requests.post(place, data=b"e", timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ('[{"pth": "x"}]', "fault 1 knows no pth"),
        ('["x"]', "fault 1 is no object"),
        ("{}", "faults are a list"),
        ("{", "Expecting property name"),
        ('[{"path": "("}]', "the pattern '(' is bad"),
        ('[{"cut": "x"}]', "cut is 'x'; it must be a number from 0"),
    ],
)
def test_bad_faults_are_refused(tmp_path: Path, written: str, sentence: str) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(written)
    command = _command(tmp_path, "--faults", faults)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr

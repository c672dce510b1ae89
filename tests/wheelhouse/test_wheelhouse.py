"""The wheelhouse: pinned, the same everywhere, fetched once, complete or refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov import wheelhouse, wheels
from crosprov.errors import PlanError
from crosprov.wheels import DEVSERVER, MACHINES, MIRROR, PROGRAMS, PYTHONS, Pin, Program

PLAIN, COMPILED = b"pure", b"compiled"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


LOCK = f"""# made up
pip==26.3 \\
    --hash=sha256:{sha256(PLAIN)}
fast-thing==1.0 \\
    --hash=sha256:{sha256(COMPILED + b"x86_64")} \\
    --hash=sha256:{sha256(COMPILED + b"aarch64")}
"""


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """Stand in for pip and the lock file; gives the downloads that were asked for."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        target = Path(command[command.index("--dest") + 1])
        asked = Path(command[-1]).read_text()
        machine = command[command.index("--platform") + 1].partition("28_")[2]
        if "pip==" in asked:
            (target / "pip-26.3-py3-none-any.whl").write_bytes(PLAIN)
        (target / f"fast_thing-1.0-cp311-abi3-manylinux_2_28_{machine}.whl").write_bytes(
            COMPILED + machine.encode()
        )
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(wheels, "requirements", lambda program: LOCK)
    monkeypatch.setattr("crosprov.wheelhouse.subprocess.run", run)
    wheelhouse.digest.cache_clear()
    yield calls
    wheelhouse.digest.cache_clear()


@pytest.mark.parametrize(
    ("program", "names"),
    [(DEVSERVER, {"starlette", "uvicorn"}), (MIRROR, {"pkgcore", "snakeoil", "lxml"})],
)
def test_the_lock_file_has_a_wheel_for_every_python_and_machine(
    program: Program, names: set[str]
) -> None:
    pins = wheels.pins(wheels.requirements(program))
    wanted = names | {"pip", "requests", "google-cloud-storage"}
    assert wanted <= {pin.name for pin in pins}
    assert {len(pin.hashes) for pin in pins} <= {1, len(MACHINES), len(MACHINES) * len(PYTHONS)}
    assert "".join(f"{pin}\n" for pin in pins) == wheels.requirements(program).partition("\n")[2]


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.lists(st.builds(Pin, names, st.just("1.0"), st.lists(digests, min_size=1).map(tuple))))
def test_pins_are_read_as_they_are_written(pins: list[Pin]) -> None:
    assert wheels.pins("".join(f"{pin}\n" for pin in pins)) == tuple(pins)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_own_wheel_is_the_same_each_time_and_can_be_imported(
    tmp_path: Path, program: Program
) -> None:
    packed = wheels.own_wheel(program)
    assert packed == wheels.own_wheel(program)
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        assert archive.testzip() is None
        record = archive.read(next(n for n in archive.namelist() if n.endswith("RECORD"))).decode()
        assert sorted(line.split(",")[0] for line in record.splitlines()) == sorted(
            archive.namelist()
        )
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-c",
         "import sys, importlib; sys.path.insert(0, sys.argv[1]);"
         "print(importlib.import_module(sys.argv[2] + '.__main__').__file__)",
         str(tmp_path), program.module],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))


def test_wheels_are_fetched_once_and_what_is_pure_only_once_of_all(pip: list[list[str]]) -> None:
    first = wheelhouse.archive(DEVSERVER)
    assert len(pip) == len(MACHINES) * len(PYTHONS)
    assert wheelhouse.archive(DEVSERVER) == first
    assert len(pip) == len(MACHINES) * len(PYTHONS)
    content = Path(first.path).read_bytes()
    assert (sha256(content), len(content)) == (first.sha256, first.size)
    with tarfile.open(first.path) as archive:
        members = archive.getnames()
        listed = archive.extractfile("requirements.txt")
        assert listed is not None
        text = listed.read().decode()
    assert "pip-26.3-py3-none-any.whl" in members and wheels.OWN_WHEEL in members
    assert "pip==" not in text and "fast-thing==1.0" in text and wheels.OWN_WHEEL in text


def test_an_archive_is_the_same_on_another_controller(
    pip: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheelhouse.archive(DEVSERVER)
    assert wheelhouse.fill(tmp_path / "carried") == 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    second = wheelhouse.archive(DEVSERVER, tmp_path / "carried")
    assert (first.sha256, first.size) == (second.sha256, second.size)
    assert first.path != second.path


def spoil(folder: Path) -> None:
    """Change a wheel in a folder."""
    next(folder.glob("fast*x86_64.whl")).write_bytes(b"other")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (spoil, "lacks wheels of fast-thing"),
        (shutil.rmtree, "is not a folder"),
        (lambda folder: (folder / "pip-26.3-py3-none-any.whl").unlink(), "lacks wheels of pip"),
    ],
)
def test_a_folder_without_all_wheels_is_refused(
    pip: list[list[str]], tmp_path: Path, harm: Callable[[Path], object], words: str
) -> None:
    wheelhouse.fill(tmp_path / "carried")
    harm(tmp_path / "carried")
    with pytest.raises(PlanError, match=words) as caught:
        wheelhouse.archive(DEVSERVER, tmp_path / "carried")
    assert "crosprov wheelhouse DIR" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("WARNING: x\nERROR: Could not find https://me:pw@index.example.com/x\nERROR: No\n",
         "cannot be fetched: Could not find …"),
        ("/usr/bin/python3: No module named pip\n", "the Python that runs crosprov has no pip"),
        ("", "pip said nothing"),
    ],
)  # fmt: skip
def test_a_controller_without_an_index_is_told_what_to_do(
    pip: list[list[str]], monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr("crosprov.wheelhouse.subprocess.run", run)
    with pytest.raises(PlanError) as caught:
        wheelhouse.archive(DEVSERVER)
    assert words in caught.value.message
    assert "dev_server.wheelhouse" in (caught.value.hint or "")
    left = [path.name for path in wheelhouse.cache_folder().iterdir()]
    assert left == ["lock"]

"""The stand-in build: what is written, and that it is the same each time."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from crosprov.twin.payload import Build, write_build

NAME = "chromeos_R121-15663.0.0_eve_full_dev.bin"
WORDS = ("--board", "eve", "--version", "15663.0.0", "--milestone", "121")


def _program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "crosprov.twin.payload", *words), capture_output=True, text=True
    )


def test_the_program_writes_a_whole_build(tmp_path: Path) -> None:
    done = _program(*WORDS, tmp_path / "build")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/build/{NAME}\n"), done.stderr
    content = (tmp_path / "build" / NAME).read_bytes()
    told = json.loads((tmp_path / "build" / f"{NAME}.json").read_text())
    magic, version, length, _ = struct.unpack(">4sQQI", content[:24])
    assert (magic, version, told["metadata_size"]) == (b"CrAU", 2, 24 + length)
    assert told["size"] == len(content) == 24 + length + 256 * 1024
    assert base64.b64decode(told["sha256_hex"]) == hashlib.sha256(content).digest()
    assert (told["target_version"], told["is_delta"]) == ("15663.0.0", False)
    with tarfile.open(tmp_path / "build" / "stateful.tgz") as stateful:
        assert stateful.getnames() == ["dev_image_new", "var_new", "dev_image_new/build"]


def test_a_build_is_the_same_each_time(tmp_path: Path) -> None:
    build = Build("eve", "15663.0.0", 121, size=1000)
    for folder in ("one", "two"):
        write_build(tmp_path / folder, build)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_wrong_hash_is_inside_and_wrong_metadata_are_beside(tmp_path: Path) -> None:
    digests = {}
    for name, build in {
        "hash": Build("eve", "1.2.3", 1, size=100, wrong_hash=True),
        "metadata": Build("eve", "1.2.3", 1, size=100, wrong_metadata=True),
    }.items():
        content = write_build(tmp_path / name, build).read_bytes()
        manifest, data = content[24:-100].decode(), content[-100:]
        beside = json.loads(next((tmp_path / name).glob("*.json")).read_text())["sha256_hex"]
        digests[name] = (
            f"DATA_SHA256={hashlib.sha256(data).hexdigest()}\n" in manifest,
            base64.b64decode(beside) == hashlib.sha256(content).digest(),
        )
    assert digests == {"hash": (False, True), "metadata": (True, False)}


def test_a_delta_names_its_source(tmp_path: Path) -> None:
    path = write_build(tmp_path, Build("eve", "1.2.4", 2, source="1.2.3", size=10))
    assert path.name == "chromeos_R2-1.2.3_R2-1.2.4_eve_delta_dev.bin"
    assert json.loads(Path(f"{path}.json").read_text())["source_version"] == "1.2.3"
    assert b"SOURCE_VERSION=1.2.3\n" in path.read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--board", "../x"), "'../x' is not a board's name"),
        (("--version", "R121"), "'R121' is not such as 15663.0.0"),
        (("--source", "x"), "'x' is not such as 15662.0.0"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, words: tuple[str, str], sentence: str) -> None:
    done = _program(*WORDS, *words, tmp_path)
    assert (done.returncode, sentence in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())

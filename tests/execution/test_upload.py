"""Files of the controller on their way to a host: whole ones, and stretches of larger ones."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api.util import get_file_io

from crosprov.errors import StalePlan
from crosprov.execution.upload import read_checked
from crosprov.localfiles import Stretch, measured, measured_stretch
from crosprov.operations.note import LocalFile
from crosprov.planning.plan import Action, Change, Resource, Send
from tests.execution.labor import carried, plan_of

DATA = bytes(range(256)) * 40


def send(source: Path, offset: int | None, size: int, content: bytes, path: str = "/x") -> Send:
    digest = hashlib.sha256(content).hexdigest()
    return Send(path=path, source=str(source), size=size, sha256=digest, offset=offset)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "file"
    path.write_bytes(DATA)
    return path


PLANNED = {
    "all": (None, len(DATA), DATA),
    "all as a stretch": (0, len(DATA), DATA),
    "middle": (100, 5000, DATA[100:5100]),
    "end": (len(DATA) - 7, 7, DATA[-7:]),
    "nothing": (10, 0, b""),
}
CHANGED = {
    "shorter": (None, len(DATA) + 1, DATA),
    "longer": (None, len(DATA) - 1, DATA[:-1]),
    "stretch beyond the end": (len(DATA) - 7, 8, DATA[-7:]),
    "behind the end": (len(DATA) + 7, 3, b"abc"),
    "other place": (101, 5000, DATA[100:5100]),
}


@pytest.mark.parametrize("case", PLANNED)
def test_what_was_planned_is_read(case: str, file: Path) -> None:
    offset, size, content = PLANNED[case]
    found = read_checked(send(file, offset, size, content))
    assert found is not None and bytes(found) == content


@pytest.mark.parametrize("case", CHANGED)
def test_another_content_is_not_sent(case: str, file: Path) -> None:
    assert read_checked(send(file, *CHANGED[case])) is None


def test_a_stretch_arrives_byte_for_byte_and_only_when_unchanged(tmp_path: Path) -> None:
    source, target = tmp_path / "bundle", tmp_path / "target"
    source.write_bytes(DATA)
    target.touch(0o600)
    change = Change(
        role="common", operation="test", action=Action.CREATE,
        resource=Resource(kind="file", name="target"),
        steps=(send(source, 512, 3000, DATA[512:3512], str(target)),),
    )  # fmt: skip
    plan = plan_of(tmp_path / "s", change)
    assert carried(plan)[1] is None
    assert target.read_bytes() == DATA[512:3512]
    source.write_bytes(DATA[::-1])
    assert isinstance(carried(plan)[1], StalePlan)


@given(
    offset=st.integers(0, len(DATA)), size=st.integers(0, len(DATA)), pieces=st.integers(1, 9000)
)
def test_a_stretch_reads_as_a_file_of_its_own(
    file: Path, offset: int, size: int, pieces: int
) -> None:
    wanted = DATA[offset : offset + size]
    with Stretch(file, offset, size) as stretch, io.BytesIO() as found:
        while piece := stretch.read(pieces):
            found.write(piece)
        assert found.getvalue() == wanted
        assert stretch.seek(3) == 3 and stretch.read(2) == wanted[3:5]
        assert stretch.seek(-1, os.SEEK_CUR) == stretch.tell()
        assert stretch.seek(0, os.SEEK_END) == size
    assert measured_stretch(file, offset, size) == hashlib.sha256(wanted).hexdigest()


def test_a_changed_file_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    assert measured(path) == (3, hashlib.sha256(b"one").hexdigest())
    path.write_bytes(b"other")
    assert measured(path) == (5, hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize("offset", [None, 0, 10])
def test_pyinfra_itself_sends_the_same(file: Path, offset: int | None) -> None:
    size = len(DATA) if offset is None else 50
    command = LocalFile(str(file), size, "0" * 64, "/x", offset=offset)
    for _ in range(2):  # a failed upload is tried again
        with get_file_io(command.src) as reading:
            assert reading.read() == DATA[offset or 0 : (offset or 0) + size]
    if offset is not None:
        assert isinstance(command.src, Stretch)
        command.src.close()

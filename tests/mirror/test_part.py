"""A file on its way: in pieces of any size, over any number of syncs, on any file system."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosprov.mirror.blocks import BLOCK, PAGE, Growing
from crosprov.mirror.hashing import LARGE
from crosprov.mirror.limits import Bandwidth, Stopped
from crosprov.mirror.model import Archive
from crosprov.mirror.part import Broken, Part
from tests.mirror.syncing import archive_of, content

_DATA = content(LARGE + BLOCK + 7)
SIZES = [0, 1, PAGE, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + PAGE, LARGE - 1, LARGE + BLOCK + 7]


def _part(folder: Path, archive: Archive, moved: list[int] | None = None) -> Part:
    told = [] if moved is None else moved
    begun = os.listdir(folder)
    return Part(folder, archive, begun, Bandwidth(0, threading.Event()), told.append)


@given(
    size=st.sampled_from(SIZES),
    piece=st.integers(50_000, 3 * BLOCK),
    ends=st.lists(st.integers(0, LARGE), max_size=4),
)
@example(size=LARGE + BLOCK + 7, piece=BLOCK - 1, ends=[BLOCK + 1, LARGE])
@settings(max_examples=40)
def test_what_one_sync_began_another_one_ends(size: int, piece: int, ends: list[int]) -> None:
    data = _DATA[:size]
    archive = archive_of("foo-1.tar", data)
    with TemporaryDirectory() as name:
        for end in sorted(ends):  # each sync is cut off there
            with _part(Path(name), archive) as part:
                kept = part.done
                _give(part, data[:end], piece)
                reached = part.done
            assert kept % PAGE == 0 or kept == size
            assert reached == max(kept, min(end, size))
        moved: list[int] = []
        with _part(Path(name), archive, moved) as part:
            reached = min(max(ends, default=0), size)
            assert reached < BLOCK or reached - part.done < PAGE
            _give(part, data, piece)
            part.prove()
        assert part.path.read_bytes() == data and sum(moved) == size
        assert part.proven == archive.hashes


def _give(part: Part, data: bytes, piece: int) -> None:
    for start in range(part.done, len(data), piece):
        part.take(data[start : start + piece])


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_wrong_byte_anywhere_is_refused_and_nothing_is_kept(tmp_path: Path, size: int) -> None:
    archive = archive_of("foo-1.tar", _DATA[:size])
    for place in (0, size // 2, size - 1):
        wrong = bytearray(_DATA[:size])
        wrong[place] ^= 1
        moved: list[int] = []
        with _part(tmp_path, archive, moved) as part:
            part.take(bytes(wrong))
            with pytest.raises(Broken, match="BLAKE2B"):
                part.prove()
            assert part.done == 0 and sum(moved) == 0
            part.take(_DATA[:size])
            part.prove()
        assert part.path.read_bytes() == _DATA[:size]
        part.discard()


def test_a_byte_too_many_is_refused_and_what_was_there_stays(tmp_path: Path) -> None:
    with _part(tmp_path, archive_of("foo-1.tar", _DATA[:BLOCK])) as part:
        part.take(_DATA[:10])
        with pytest.raises(Broken, match="longer"):
            part.take(_DATA[10 : BLOCK + 1])
        _give(part, _DATA[:BLOCK], BLOCK)
        part.prove()


def test_what_fits_into_memory_is_not_written_before_it_is_proven(tmp_path: Path) -> None:
    archive = archive_of("foo-1.tar", _DATA[:5000])
    with _part(tmp_path, archive) as part:
        part.take(_DATA[:4999] + b"x")
        with pytest.raises(Broken):
            part.prove()
    assert not list(tmp_path.iterdir())


def test_a_sync_that_is_to_end_takes_up_no_more(tmp_path: Path) -> None:
    archive, stop = archive_of("foo-1.tar", _DATA), threading.Event()
    with _part(tmp_path, archive) as part:
        part.take(_DATA[: 3 * BLOCK])
    left = part.path.read_bytes()
    stop.set()
    again = Part(tmp_path, archive, [part.path.name], Bandwidth(0, stop))
    with pytest.raises(Stopped), again:
        pass
    assert part.path.read_bytes() == left


def test_a_file_without_a_hash_of_its_own_is_counted_only(tmp_path: Path) -> None:
    with _part(tmp_path, Archive("foo-1.tar", 3, {})) as part:
        part.take(b"abc")
        part.prove()
    assert part.path.read_bytes() == b"abc" and not part.proven


SLICES = [
    [BLOCK],
    [BLOCK, BLOCK, 300_000],
    [5, BLOCK, BLOCK],  # off the boundary from the beginning
    [BLOCK, PAGE * 64, PAGE * 64 + 1, BLOCK, 0, 17],
]


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("refusal", [None, "at once", "when writing"])
def test_a_growing_file_gets_every_byte_past_the_cache_or_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: Sequence[int], refusal: str | None
) -> None:
    if refusal:
        _refuse(monkeypatch, refusal)
    path = tmp_path / "file"
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    file, expected = Growing(number, 0), blake2b()
    for count, length in enumerate(slices):
        block = memoryview(content(length, count))
        file.append(block)
        expected.update(block)
    os.close(number)
    assert blake2b(path.read_bytes()).digest() == expected.digest()


def _refuse(monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    """Be a file system that cannot write past the page cache, and says so early or late."""
    set_flags, write, passing = fcntl.fcntl, os.pwrite, set[int]()

    def flags(number: int, command: int, value: int = 0) -> Any:
        if command != fcntl.F_SETFL:
            return set_flags(number, command, value)
        if value & os.O_DIRECT and refusal == "at once":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        (passing.add if value & os.O_DIRECT else passing.discard)(number)
        return 0

    def written(number: int, content: memoryview, offset: int) -> int:
        if number in passing:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return write(number, content, offset)

    monkeypatch.setattr(fcntl, "fcntl", flags)
    monkeypatch.setattr(os, "pwrite", written)

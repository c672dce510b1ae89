"""Compressed tarballs that are cut short or damaged: refused whoever made them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.mirror.model import Fault
from crosprov.mirror.wholeness import check_whole

CONTENT = bytes(index * index % 251 for index in range(300_000))


def _zstd(content: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "a-1.tar.xz": lzma.compress,
    "a-1.tgz": gzip.compress,
    "a-1.tar.bz2": bz2.compress,
    "a-1.tar.zst": _zstd,
}


@pytest.fixture(params=PACKERS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a tarball of each kind."""
    return str(request.param)


def test_what_is_whole_passes(tmp_path: Path, name: str) -> None:
    packed = PACKERS[name](CONTENT)
    for content in (packed, packed + packed, packed + bytes(512)):
        (tmp_path / "file").write_bytes(content)
        check_whole(tmp_path / "file", name)


@pytest.mark.parametrize("cut", [1, 4, 9, 100, -1])
def test_what_is_cut_short_is_refused(tmp_path: Path, name: str, cut: int) -> None:
    packed = PACKERS[name](CONTENT)
    (tmp_path / "file").write_bytes(packed[:-cut] if cut > 0 else packed[:20])
    with pytest.raises(Fault, match="was not published: it ends before its content does") as found:
        check_whole(tmp_path / "file", name)
    assert found.value.hint and "get or pack the file again" in found.value.hint


def test_what_is_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"<html>Not found</html>" * 9)
    with pytest.raises(Fault, match="it is damaged, or not packed as its name says"):
        check_whole(tmp_path / "file", name)


def test_a_single_file_may_be_anything(tmp_path: Path) -> None:
    check_whole(tmp_path / "not there", "a-1.bin.xz")


# Frames as RFC 8878 lays them out: a block of one repeated byte, a skipped frame, a checksum.
_RLE = bytes.fromhex("28b52ffd 20 05 2b0000 61")
_SKIPPED = bytes.fromhex("502a4d18 03000000 616263")
_CHECKED = bytes.fromhex("28b52ffd 24 01 090000 61 01020304")


@pytest.mark.parametrize("content", [_RLE, _SKIPPED + _RLE, _CHECKED, _CHECKED + _RLE])
def test_frames_of_zstd_are_walked_over(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    check_whole(file, "a-1.tar.zst")
    file.write_bytes(content[:-1])
    with pytest.raises(Fault, match="ends before its content does"):
        check_whole(file, "a-1.tar.zst")

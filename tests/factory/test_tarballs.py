"""The image's tarball: whole ones pass, and whatever is cut off is seen before it is sent."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.factory.sources import image_of, release_of
from crosprov.factory.tarballs import local_image
from tests.factory.releases import TARBALL, packed, settings, tar

KINDS = [
    "tar", "xz", "xz without checks", "xz of two streams", "xz with padding", "gzip",
    "gzip of two", "bzip2", "zstd",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_tarball_passes_wherever_it_lies(kind: str, tmp_path: Path) -> None:
    content = packed()[kind]
    digest = hashlib.sha256(content).hexdigest()
    plain, within = tmp_path / "plain", tmp_path / "within"
    plain.write_bytes(content)
    within.write_bytes(b"before" + content + b"after")
    for path, offset in ((plain, 0), (within, 6)):
        found = local_image(path, offset, len(content))
        assert (found.offset, found.size, found.sha256) == (offset, len(content), digest)
    assert local_image(plain).size == len(content)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_cut_tarball_never_passes(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = packed()[kind]
    ends = {"xz with padding": 100_000, "gzip of two": 512, "tar": 9000, "zstd": 11}.get(kind, 0)
    whole = {len(content) - ends, *_streams(kind, content)}
    length = data.draw(st.integers(0, len(content) - ends - 1).filter(lambda n: n not in whole))
    path = tmp_path_factory.mktemp("cut") / "image.txz"
    path.write_bytes(content[:length])
    with pytest.raises(PlanError) as caught:
        local_image(path)
    assert str(path) in caught.value.message and caught.value.hint


def _streams(kind: str, content: bytes) -> set[int]:
    """Name the places where what is before them is whole by itself: no one can see that cut."""
    if kind == "xz of two streams":
        end = content.index(b"\0" * 8 + b"\xfd7zXZ")
        return {end, end + 4, end + 8}
    if kind == "gzip of two":
        return {len(gzip.compress(tar()[: len(tar()) // 2]))}
    return set()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


XZ = lzma.compress(tar(), preset=0)
BAD = {
    "nothing": (b"", "is empty: was its download cut short?"),
    "page": (b"<html>" * 100, "is neither a tar archive nor a compressed one"),
    "only the head": (XZ[:12], "smaller than the smallest xz stream"),
    "half": (XZ[: len(XZ) // 8 * 4], "was cut short: it has no xz footer"),
    "odd": (XZ[:-1], "the size of xz data is a multiple of 4"),
    "grown": (XZ + b"\0" * 3, "a multiple of 4"),
    "zeros at the end": (XZ[:12] + bytes(4000), "was cut short: "),
    "footer": (flipped(XZ, len(XZ) - 5), "no xz footer"),
    "index": (flipped(XZ, len(XZ) - 14), "its xz index is not right"),
    "beginning lost": (XZ[:6] + XZ[1006:], "its beginning is not there"),
    "flags": (flipped(XZ, 7), "what its xz index tells is not there"),
    "only padding": (b"\xfd7zXZ\0" + bytes(58), "smaller than the smallest xz stream"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_whole_tarball(case: str, tmp_path: Path) -> None:
    content, said = BAD[case]
    path = tmp_path / "image.txz"
    path.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        image_of(settings(tmp_path, image_archive=path))
    assert said in caught.value.message


def test_a_tar_without_an_image_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(PlanError, match="holds no image"):
        local_image(tmp_path / "a.tar")


def test_a_missing_tarball_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        release_of(settings(tmp_path, image_archive=tmp_path / "none.txz"))


def test_an_image_goes_with_its_script_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "some-name.tar"
    path.write_bytes(packed()["xz"])
    found = release_of(settings(tmp_path, image_archive=path))
    assert found is not None and found.image == local_image(path)


def test_a_changed_tarball_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(packed()["xz"])
    first = local_image(path)
    path.write_bytes(packed()["xz with padding"])
    assert local_image(path).sha256 != first.sha256
    path.write_bytes(b"short")
    with pytest.raises(PlanError):
        local_image(path)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (TARBALL, True),
        ("image.txz", True),
        (TARBALL.replace("1.10.3", "1.9.1"), True),
        (TARBALL.replace("2023", "2024"), False),
        (TARBALL.replace("adb3ce", "000000"), False),
    ],
)
def test_a_name_of_another_version_is_refused(name: str, fits: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(packed()["xz"])
    wanted = settings(tmp_path, image_archive=path)
    if fits:
        assert release_of(wanted) is not None
    else:
        with pytest.raises(PlanError, match=f"another version than the script.*{TARBALL}"):
            release_of(wanted)

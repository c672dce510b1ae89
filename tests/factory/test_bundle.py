"""Bundles: made the same each time, and read only when every byte is as it must be."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import PlanError, UsageError
from crosprov.factory import bundle
from crosprov.factory.bundle import Layout, Manifest, Member, manifest_of
from crosprov.factory.packing import Packer
from crosprov.factory.release import Release, release
from crosprov.factory.sources import image_of, release_of
from crosprov.factory.tarballs import local_image
from tests.factory.releases import TARBALL, VERSION, packed, script, settings

IMAGE = packed()["xz"]


def whole(tmp: Path, content: bytes = IMAGE, **version: str) -> Release:
    """Make a release whose tarball is a file."""
    path = tmp / "image.txz"
    path.write_bytes(content)
    return release(script(**version), "here", local_image(path))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("made")
    assert Packer(folder / "b").pack(whole(folder)).written
    return (folder / "b").read_bytes()


def test_what_went_in_comes_out(made: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(made)
    found = release_of(settings(tmp_path, bundle=path, version=VERSION))
    assert found is not None and found.image is not None
    assert (str(found.version), found.script) == (VERSION, script())
    assert found.sha256 == hashlib.sha256(script()).hexdigest()
    image = found.image
    assert made[image.offset : image.offset + image.size] == IMAGE
    assert image.sha256 == hashlib.sha256(IMAGE).hexdigest()
    assert image_of(settings(tmp_path, bundle=path)) == image


def test_tar_can_unpack_it_for_a_host_without_crosprov(made: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        assert archive.getnames() == ["manifest.json", "cros_docker.sh", TARBALL]
        modes = [member.mode for member in archive]
        contents = [(f := archive.extractfile(m)) and f.read() for m in archive.getmembers()]
    assert modes == [0o644, 0o755, 0o644] and contents[1:] == [script(), IMAGE]


def test_the_same_release_gives_the_same_bytes(made: bytes, tmp_path: Path) -> None:
    found = whole(tmp_path)
    packer = Packer(tmp_path / "other-name")
    assert packer.pack(found).written
    assert (tmp_path / "other-name").read_bytes() == made
    assert not packer.pack(found).written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.txz", "other-name"]
    assert (tmp_path / "other-name").stat().st_mode & 0o777 == 0o644


def rejected(path: Path, content: bytes) -> str:
    """Give the sentence with which a bundle is refused."""
    path.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        bundle.read(path)
    assert str(path) in caught.value.message and caught.value.hint
    return caught.value.message


@given(data=st.data())
def test_a_flipped_bit_never_passes(
    data: st.DataObject, made: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # All but 2 kB are the tarball's: half of the examples are for the rest.
    head = st.integers(0, len(made) - len(IMAGE) - 1).map(lambda n: n if n < 2900 else n - 3000)
    at = data.draw(head | st.integers(0, len(made) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    content = bytearray(made)
    content[at] ^= bit
    rejected(tmp_path_factory.mktemp("flip") / "b", bytes(content))


@given(length=st.integers(0, 2500) | st.integers(0, 44_000), data=st.data())
def test_a_cut_or_lengthened_bundle_never_passes(
    length: int, data: st.DataObject, made: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "b"
    cut = made[: min(length, len(made) - 1)]
    said = rejected(path, cut)
    assert "was cut short" in said or "is empty" in said or "is no bundle" in said
    assert "more than it should" in rejected(path, made + data.draw(st.binary(min_size=1)))


def rebuilt(made: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    """Give a bundle whose manifest says something else, with all else in accordance."""
    size = tarfile.TarInfo.frombuf(made[:512], "utf-8", "strict").size
    said = json.loads(made[512 : 512 + size])
    change(said)
    layout = Layout(Manifest.model_validate(said))
    return layout.head + script() + layout.between + IMAGE + layout.tail


def member(key: str, **values: object) -> Callable[[dict[str, object]], object]:
    def change(said: dict[str, object]) -> None:
        found = said[key]
        assert isinstance(found, dict)
        found.update(values)

    return change


LIES = {
    "script's hash": (member("script", sha256="0" * 64), "cros_docker.sh in the bundle"),
    "image's hash": (member("image", sha256="0" * 64), f"{TARBALL} in the bundle"),
    "version": (lambda said: said.update(version="20990101000000-000000"), "says version 2099"),
    "name": (member("image", name="other.txz"), "holds other.txz"),
    "name of a path": (member("image", name="../../etc/passwd"), "holds ../../etc/passwd"),
    "absolute name": (member("script", name="/bin/sh"), "is no bundle"),
    "size of the image": (member("image", size=len(IMAGE) - 4), "more than it should"),
    "size of the script": (member("script", size=len(script()) - 1), "more than it should"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_manifest_that_lies_is_found_out(case: str, made: bytes, tmp_path: Path) -> None:
    change, said = LIES[case]
    assert said in rejected(tmp_path / "b", rebuilt(made, change))


def foreign(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"{}\n"))
    return buffer.getvalue()


FOREIGN = {
    "text": b"hello",
    "zeros": bytes(20_000),
    "image": IMAGE,
    "other tar": foreign("a", "b"),
    "other manifest": foreign("manifest.json", "cros_docker.sh"),
    "path": foreign("../manifest.json"),
    "huge number": b"",
}
HUGE = Manifest(
    version=VERSION,
    script=Member(name="cros_docker.sh", size=3, sha256="0" * 64),
    image=Member(name=TARBALL, size=10**40, sha256="0" * 64),
)


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_bundle(case: str, tmp_path: Path) -> None:
    text = HUGE.text()
    content = FOREIGN[case] or bundle._header("manifest.json", len(text), 0o644) + text
    said = rejected(tmp_path / "b", content)
    assert "is no bundle that `crosprov factory bundle` made" in said


def test_a_missing_bundle_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="the bundle .* cannot be read: No such file"):
        release_of(settings(tmp_path, bundle=tmp_path / "none"))


def test_another_file_is_replaced_only_when_asked(made: bytes, tmp_path: Path) -> None:
    out = tmp_path / "b"
    out.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is no whole bundle"):
        Packer(out).pack(whole(tmp_path))
    assert out.read_bytes() == b"precious"
    assert Packer(out, force=True).pack(whole(tmp_path)).written
    assert out.read_bytes() == made
    newer = whole(tmp_path, timestamp="20990101000000")
    with pytest.raises(UsageError, match=f"holds version {VERSION}, not"):
        Packer(out).pack(newer)
    other = whole(tmp_path, packed()["gzip"])
    with pytest.raises(UsageError, match=f"holds version {VERSION}, not"):
        Packer(out).pack(other)
    assert out.read_bytes() == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "image.txz"]


def test_a_tarball_that_changes_meanwhile_makes_no_bundle(tmp_path: Path) -> None:
    found = whole(tmp_path)
    (tmp_path / "image.txz").write_bytes(IMAGE[:-40] + bytes(40))
    with pytest.raises(PlanError):
        Packer(tmp_path / "b").pack(found)
    assert [path.name for path in tmp_path.iterdir()] == ["image.txz"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    out = tmp_path / "file" / "b"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PlanError, match="cannot be written"):
        Packer(out).pack(whole(tmp_path))


def test_a_manifest_tells_what_is_inside(tmp_path: Path) -> None:
    found = whole(tmp_path)
    manifest = manifest_of(found, 5, "1" * 64)
    assert manifest.version == VERSION and manifest.image.name == TARBALL
    assert manifest_of(replace(found, image=None), 5, "1" * 64) == manifest

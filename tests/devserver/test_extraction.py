"""Archives: what comes out of good ones, and that nothing of evil ones gets anywhere."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver import extraction
from crosprov.devserver.artifacts import Artifact
from crosprov.devserver.extraction import extract
from crosprov.devserver.failures import Refused
from crosprov.devserver.space import Space
from tests.devserver.depot import tar_of, zip_of

ALL = Artifact("all", (), unpack=True)
FILES = {"a/one": b"1" * 10, "a/b/two": b"2" * 3_000_000, "three": b""}


def unpack(tmp_path: Path, content: bytes, artifact: Artifact = ALL) -> dict[str, bytes]:
    """Unpack an archive; gives what came out of it."""
    archive, into = tmp_path / "archive", tmp_path / "into"
    archive.write_bytes(content)
    with Space(tmp_path).held(0, "archive") as held:
        paths = extract(archive, artifact, into, held, lambda: None)
    return {path: (into / path).read_bytes() for path in paths}


def links(*members: tuple[str, bytes, str]) -> bytes:
    """Make a tar of members: a name, tarfile's type, a link's target or a file's content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, word in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "" if kind == tarfile.REGTYPE else word
            content = word.encode() if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def zip_link(name: str, target: str, kind: int = stat.S_IFLNK) -> bytes:
    """Make a zip with a member that is no plain file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, target)
    return packed.getvalue()


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz", "zip"])
def test_every_kind_of_archive_is_unpacked(tmp_path: Path, compression: str) -> None:
    content = zip_of(FILES) if compression == "zip" else tar_of(FILES, compression)
    assert unpack(tmp_path, content) == FILES


def test_an_archive_of_several_compressed_streams_is_unpacked(tmp_path: Path) -> None:
    """pbzip2, which compresses ChromiumOS builds, writes a stream for each block."""
    import bz2

    plain = tar_of(FILES)
    parts = [bz2.compress(plain[at : at + 900_000]) for at in range(0, len(plain), 900_000)]
    assert unpack(tmp_path, b"".join(parts)) == FILES


SELECTIONS = [
    (Artifact("x", (), member="a/one"), ["a/one"]),
    (Artifact("x", (), unpack=True, only="a/b"), ["a/b/two"]),
    (Artifact("x", (), unpack=True, without="a"), ["three"]),
]


@pytest.mark.parametrize(("artifact", "names"), SELECTIONS)
@pytest.mark.parametrize("packed", [tar_of(FILES), zip_of(FILES)], ids=["tar", "zip"])
def test_only_what_the_table_names_is_unpacked(
    tmp_path: Path, artifact: Artifact, names: list[str], packed: bytes
) -> None:
    assert list(unpack(tmp_path, packed, artifact)) == names


def test_modes_are_sane(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, mode in (("suid", 0o6777), ("plain", 0o000), ("tool", 0o700)):
            member = tarfile.TarInfo(name)
            member.mode = mode
            archive.addfile(member)
    unpack(tmp_path, packed.getvalue())
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "into").iterdir()}
    assert modes == {"suid": 0o755, "plain": 0o644, "tool": 0o755}


def test_links_inside_are_kept(tmp_path: Path) -> None:
    content = links(
        ("a/file", tarfile.REGTYPE, "content"),
        ("a/twin", tarfile.LNKTYPE, "a/file"),
        ("b/link", tarfile.SYMTYPE, "../a/file"),
    )
    assert unpack(tmp_path, content) == dict.fromkeys(("a/file", "a/twin", "b/link"), b"content")
    assert os.readlink(tmp_path / "into/b/link") == "../a/file"


FILE, SYM, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

EVIL: dict[str, tuple[bytes, str]] = {
    "absolute": (links(("/x", FILE, "")), "leads out"),
    "dots": (links(("a/../../x", FILE, "")), "leads out"),
    "dots in a zip": (zip_of({"../x": b""}), "leads out"),
    "absolute in a zip": (zip_of({"/x": b""}), "leads out"),
    "link out": (links(("a/l", SYM, "../../x")), "a link that leads out"),
    "absolute link": (links(("l", SYM, "/etc")), "a link that leads out"),
    "link with dots behind a name": (links(("l", SYM, "d/../../x")), "a link that leads out"),
    "two links that are harmless alone": (
        links(("d", SYM, "."), ("d/l", SYM, "..")),
        "cannot be stored",
    ),
    "file through a link": (links(("l", SYM, "a"), ("l/x", FILE, "")), "cannot be stored"),
    "hard link out": (links(("l", HARD, "/etc/passwd")), "not unpacked from it"),
    "hard link to what was there": (links(("l", HARD, "../x")), "not unpacked from it"),
    "hard link to a link": (links(("s", SYM, "x"), ("l", HARD, "s")), "not unpacked from it"),
    "link in a zip": (zip_link("l", "../x"), "a link that leads out"),
    "device in a zip": (zip_link("l", "", stat.S_IFCHR), "neither a file"),
    "character device": (links(("null", tarfile.CHRTYPE, "")), "neither a file"),
    "block device": (links(("sda", tarfile.BLKTYPE, "")), "neither a file"),
    "named pipe": (links(("pipe", tarfile.FIFOTYPE, "")), "neither a file"),
    "own record": (links((".build", FILE, "{}")), "keeps for itself"),
    "name too long": (links(("x" * 300, FILE, "")), "cannot be stored"),
    "file that is a folder too": (links(("a", FILE, ""), ("a/b", FILE, "")), "cannot be stored"),
    "nothing": (tar_of({}), "holds no files"),
    "no archive": (b"hello" * 1000, "no archive"),
    "empty": (b"", "no archive"),
    "cut": (tar_of(FILES)[:1_000_000], "no archive"),
    "cut gz": (tar_of(FILES, "gz")[:2000], "no archive"),
    "cut bz2": (tar_of(FILES, "bz2")[:60], "no archive"),
    "cut xz": (tar_of(FILES, "xz")[:100], "no archive"),
    "cut zip": (zip_of(FILES)[:-30], "no archive"),
    "damaged gz": (tar_of(FILES, "gz")[:30] + b"\xff" * 500, "no archive"),
    "damaged bz2": (b"BZh9" + b"\xff" * 500, "no archive"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_an_evil_archive_is_refused_and_writes_nothing_elsewhere(tmp_path: Path, kind: str) -> None:
    content, words = EVIL[kind]
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(Refused, match=words) as refused:
        unpack(tmp_path, content)
    assert refused.value.status == 502
    assert "\n" not in refused.value.sentence
    assert (tmp_path / "x").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "into", "x"}


def test_an_encrypted_zip_is_a_sentence(tmp_path: Path) -> None:
    content = bytearray(zip_of({"x": b"y"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Refused, match="encrypted"):
        unpack(tmp_path, bytes(content))


def test_a_sparse_bomb_is_limited_by_the_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Space, "free", lambda self: 1_000_000)
    with pytest.raises(Refused, match="needs 3000000 bytes|only 1000000 are free") as refused:
        unpack(tmp_path, tar_of({"bomb": bytes(3_000_000)}, "xz"))
    assert refused.value.status == 507


def _huge_header() -> bytes:
    """Make a tar whose extended header says that it has 8 GiB."""
    member = tarfile.TarInfo("pax")
    member.type = tarfile.XHDTYPE
    member.size = 8 * 1024**3 - 1
    return member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def test_a_huge_header_is_not_read_into_memory(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="a header in it is too large"):
        unpack(tmp_path, _huge_header())


def test_a_folder_bomb_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MOST_MEMBERS", 10)
    with pytest.raises(Refused, match="more than 10 members"):
        unpack(tmp_path, tar_of({f"f{number}": b"" for number in range(11)}))


def test_unpacking_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise Refused(503, "stopping")

    (tmp_path / "archive").write_bytes(tar_of(FILES))
    with Space(tmp_path).held(0, "archive") as held, pytest.raises(Refused, match="stopping"):
        extract(tmp_path / "archive", ALL, tmp_path / "into", held, stop)


names = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "c", "x" * 300, "\udcff"]), max_size=5
).map("/".join)
members = st.lists(st.tuples(names, st.sampled_from([FILE, SYM, HARD]), names), max_size=8)


@given(members)
def test_no_archive_reaches_anything_outside(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[tuple[str, bytes, str]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("extraction")
    content = links(*((n, k, w.encode("ascii", "replace").decode()) for n, k, w in chosen))
    try:
        unpack_only(tmp_path, content)
    except Refused:
        pass
    assert {path.name for path in tmp_path.iterdir()} <= {"archive", "into"}
    for path in (tmp_path / "into").rglob("*"):
        real = Path(os.path.realpath(path))
        assert tmp_path / "into" in (real, *real.parents)


def unpack_only(tmp_path: Path, content: bytes) -> None:
    """Unpack an archive; links may lead to nothing."""
    (tmp_path / "archive").write_bytes(content)
    with Space(tmp_path).held(0, "archive") as held:
        extract(tmp_path / "archive", ALL, tmp_path / "into", held, lambda: None)


@given(st.binary(max_size=600), st.sampled_from([b"", b"PK", b"BZh9", b"\x1f\x8b", b"\xfd7zXZ\0"]))
def test_any_bytes_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, magic: bytes
) -> None:
    with pytest.raises(Refused):
        unpack_only(tmp_path_factory.mktemp("extraction"), magic + content)


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["tar", "gz", "xz", "zip"]))
def test_a_damaged_archive_is_refused_or_unpacked(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, kind: str
) -> None:
    files = {"a/one": b"1" * 100, "two": struct.pack(">100I", *range(100))}
    content = bytearray(zip_of(files) if kind == "zip" else tar_of(files, kind.replace("tar", "")))
    content[at % len(content)] = byte
    try:
        unpack_only(tmp_path_factory.mktemp("extraction"), bytes(content))
    except Refused as refused:
        assert refused.status in (502, 507)

"""Manifests: the grammar, the lines that programs of Gentoo disagree about, and any bytes."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pkgcore.ebuild.digest import parse_manifest

from crosprov.mirror.digests import LENGTHS, STRONG, computable, hasher, is_computable, strong
from crosprov.mirror.manifests import Manifest, problem_of_name, read_manifest
from crosprov.mirror.model import Archive
from tests.mirror.growing import BLAKE2B, SHA512, dist

USUAL = f"BLAKE2B {BLAKE2B} SHA512 {SHA512}"
OTHER = f"BLAKE2B {'c' * 128} SHA512 {SHA512}"
GOOD = dist("good-1.tar.xz")


def read(text: str | bytes) -> Manifest:
    content = text if isinstance(text, bytes) else text.encode()
    return read_manifest(content, "cat/pkg/Manifest")


SOUND = {
    "usual": (dist("a-1.tar.xz"), ["a-1.tar.xz"]),
    "two": (dist("a-1.tar.xz") + dist("b-1.tar.xz"), ["a-1.tar.xz", "b-1.tar.xz"]),
    "no last line end": (dist("a-1.tar.xz").rstrip("\n"), ["a-1.tar.xz"]),
    "crlf": (dist("a-1.tar.xz").replace("\n", "\r\n"), ["a-1.tar.xz"]),
    "empty lines": (f"\n\n{dist('a-1.tar.xz')}\n", ["a-1.tar.xz"]),
    "empty": ("", []),
    "tabs": (f"DIST\ta-1.tar.xz\t10\t{USUAL}\n", ["a-1.tar.xz"]),
    "oldest hashes": (
        dist("bluez-5.24.tar.xz", hashes=f"RMD160 {'a' * 40} SHA1 {'b' * 40}"),
        ["bluez-5.24.tar.xz"],
    ),
    "older hashes": (
        dist("a-1.zip", hashes=f"SHA256 {'a' * 64} SHA512 {SHA512} WHIRLPOOL {'d' * 128}"),
        ["a-1.zip"],
    ),
    "an algorithm of tomorrow": (dist("a-1.zip", hashes=f"{USUAL} NEXT abcdef"), ["a-1.zip"]),
    "the same line twice": (GOOD + GOOD, ["good-1.tar.xz"]),
    "literal %2F": (dist("github.com%2Fx%2F@v%2Fv1.mod"), ["github.com%2Fx%2F@v%2Fv1.mod"]),
    "signs": (dist("a,b(c)!d{e}-1.tgz"), ["a,b(c)!d{e}-1.tgz"]),
    "not ASCII": (dist("façade-1.tgz"), ["façade-1.tgz"]),
    "157 characters": (dist("x" * 157), ["x" * 157]),
    "a full Manifest": (
        f"AUX a.patch 3 {USUAL}\nEBUILD a-1.ebuild 9 {USUAL}\nMISC metadata.xml 1 {USUAL}\n{GOOD}",
        ["good-1.tar.xz"],
    ),
    "tags of GLEP 74": (
        f"TIMESTAMP 2024-01-01T00:00:00Z\nMANIFEST a/Manifest.gz 5 {USUAL}\nIGNORE x\n{GOOD}",
        ["good-1.tar.xz"],
    ),
}


@pytest.mark.parametrize(("text", "names"), SOUND.values(), ids=SOUND)
def test_good_manifests_give_their_archives(text: str, names: list[str]) -> None:
    manifest = read(text)
    assert manifest.remarks == ()
    assert list(manifest.archives) == names


BAD = {
    "traversal": ("DIST ../f 10 " + USUAL, "leads to another folder"),
    "absolute": ("DIST /etc/passwd 10 " + USUAL, "leads to another folder"),
    "hidden": ("DIST .f 10 " + USUAL, "begins with a dot"),
    "backslash": (r"DIST a\x20b 10 " + USUAL, "backslash"),
    "nul": ("DIST a\0b 10 " + USUAL, "control character"),
    "too long": (f"DIST {'x' * 256} 10 {USUAL}", "longer than 255 bytes"),
    "the mirror's own file": ("DIST layout.conf 10 " + USUAL, "their own layout"),
    "odd words": (f"DIST a-1 10 BLAKE2B {BLAKE2B} SHA512", "go in pairs"),
    "size in words": ("DIST a-1 ten " + USUAL, "'ten' is not a size"),
    "negative size": ("DIST a-1 -1 " + USUAL, "'-1' is not a size"),
    "size of other digits": ("DIST a-1 ٣ " + USUAL, "is not a size"),
    "size with an underscore": ("DIST a-1 1_0 " + USUAL, "is not a size"),
    "enormous size": (f"DIST a-1 {'9' * 5000} {USUAL}", "is not a size"),
    "no hash": ("DIST a-1 10", "has no hash"),
    "no size": ("DIST a-1", "has no size"),
    "no name": ("DIST", "has no name"),
    "hash too short": ("DIST a-1 10 BLAKE2B abc", "has 128 digits, this one 3"),
    "hash of another length": (f"DIST a-1 10 SHA256 {SHA512}", "has 64 digits, this one 128"),
    "not hexadecimal": (f"DIST a-1 10 BLAKE2B {'g' * 128}", "not hexadecimal"),
    "hash twice": (f"DIST a-1 10 SHA512 {SHA512} SHA512 {SHA512}", "given twice"),
    "unknown tag": ("DISK a-1 10 " + USUAL, "no tag of a Manifest"),
    "merge": ("<<<<<<< HEAD", "no tag of a Manifest"),
    "again, other content": ("DIST good-1.tar.xz 10 " + OTHER, "than in line 1"),
    "again, other size": ("DIST good-1.tar.xz 11 " + USUAL, "than in line 1"),
}


@pytest.mark.parametrize(("line", "said"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named_and_spoils_its_manifest(line: str, said: str) -> None:
    manifest = read(f"{GOOD}{line}\n{dist('last-1.tar.xz')}")
    (remark,) = manifest.remarks
    assert said in remark.sentence
    assert str(remark.place) == "cat/pkg/Manifest:2"
    assert "\n" not in remark.sentence and len(remark.sentence) < 300
    assert not manifest.archives and not manifest.sound


WHOLE = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "byte order mark"),
    "not UTF-8": (GOOD.encode() + b"DIST \xff 1\n", "not UTF-8 text (line 2)"),
    "signature cut short": (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{GOOD}".encode(),
        "has no end",
    ),
}


@pytest.mark.parametrize(("content", "said"), WHOLE.values(), ids=WHOLE)
def test_a_file_that_is_no_manifest_is_named(content: bytes, said: str) -> None:
    (remark,) = read(content).remarks
    assert said in remark.sentence


def signed(text: str, before: str = "", after: str = "") -> str:
    return (
        f"{before}-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}"
        f"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n{after}"
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_clear_signed_manifest_is_read_with_the_lines_of_its_file(ending: str) -> None:
    manifest = read(signed(dist("a-1.tar.xz") + dist("b-1.tar.xz")).replace("\n", ending))
    assert manifest.signed and manifest.sound
    assert manifest.place_of("b-1.tar.xz").line == 5


@pytest.mark.parametrize(
    "text",
    [signed(GOOD, before=dist("x-1")), signed(GOOD, after=dist("x-1"))],
    ids=["before", "after"],
)
def test_what_stands_outside_of_the_signature_is_refused(text: str) -> None:
    (remark,) = read(text).remarks
    assert "outside of the signed text" in remark.sentence


def test_digits_and_algorithms_are_written_the_usual_way() -> None:
    manifest = read(dist("a-1.zip", hashes=f"sha256 {'A' * 64}"))
    assert manifest.archives["a-1.zip"].hashes == {"SHA256": "a" * 64}


def test_lines_read_before_are_shared() -> None:
    known: dict[str, Archive] = {}
    one = read_manifest(GOOD.encode(), "one/Manifest", known)
    two = read_manifest((dist("a-1") + GOOD).encode(), "two/Manifest", known)
    assert one.archives["good-1.tar.xz"] is two.archives["good-1.tar.xz"]
    assert (one.place_of("good-1.tar.xz").line, two.place_of("good-1.tar.xz").line) == (1, 2)


names = st.text(string.ascii_letters + string.digits + "_-+.%@!,()=~{}é", min_size=1, max_size=40)
archives = st.builds(
    Archive,
    name=names.filter(lambda name: problem_of_name(name) is None),
    size=st.integers(0, 10**18 - 1),
    hashes=st.sets(st.sampled_from(sorted(LENGTHS)), min_size=1).flatmap(
        lambda kinds: st.fixed_dictionaries(
            {
                kind: st.text("0123456789abcdef", min_size=LENGTHS[kind], max_size=LENGTHS[kind])
                for kind in kinds
            }
        )
    ),
)


def written(archive: Archive) -> str:
    hashes = " ".join(f"{name} {digest}" for name, digest in archive.hashes.items())
    return f"DIST {archive.name} {archive.size} {hashes}\n"


@settings(max_examples=100, deadline=None)
@given(st.lists(archives, max_size=6, unique_by=lambda archive: archive.name))
def test_what_is_written_is_read_and_pkgcore_agrees(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[Archive]
) -> None:
    text = "".join(map(written, wanted))
    manifest = read(text)
    assert list(manifest.archives.values()) == wanted
    assert [manifest.place_of(a.name).line for a in wanted] == list(range(1, len(wanted) + 1))
    path = tmp_path_factory.getbasetemp() / "Manifest"
    path.write_text(text, encoding="utf-8")
    theirs = parse_manifest(str(path))[0]
    for archive in wanted:
        found = dict(theirs[archive.name])
        assert found.pop("size") == archive.size
        assert found == {name.lower(): int(d, 16) for name, d in archive.hashes.items()}


fragments = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"DIST ", b"\n", b" 10 ", b"BLAKE2B ", BLAKE2B.encode(), b"\r\n", b"- "]),
    st.sampled_from([line.encode() for line in (GOOD, *(bad for bad, _ in BAD.values()))]),
    st.sampled_from(signed(GOOD).encode().splitlines(keepends=True)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(fragments, max_size=12).map(b"".join))
def test_any_bytes_give_archives_or_sentences(content: bytes) -> None:
    manifest = read(content)
    assert manifest.sound or not manifest.archives
    for remark in manifest.remarks:
        assert remark.sentence.isprintable() and len(remark.sentence) < 400
    for name, archive in manifest.archives.items():
        assert problem_of_name(name) is None and archive.size >= 0 and archive.hashes


def test_a_broken_manifest_does_not_reach_beyond_its_limit(tmp_path: Path) -> None:
    (remark,) = read(b"x" * ((64 << 20) + 1)).remarks
    assert "longer than any true one" in remark.sentence


def test_every_computable_hash_has_the_length_that_is_asked_of_it() -> None:
    for algorithm, length in LENGTHS.items():
        if is_computable(algorithm):
            digest = hasher(algorithm)
            digest.update(b"abc")
            assert len(digest.hexdigest()) == length


def test_hashes_are_chosen_by_what_can_be_computed_and_what_proves() -> None:
    hashes = {"WHIRLPOOL": "a" * 128, "SHA512": SHA512, "MD5": "b" * 32}
    assert computable(hashes) == {"SHA512": SHA512, "MD5": "b" * 32}
    assert strong(hashes) == {"SHA512": SHA512}
    assert {"BLAKE2B", "SHA512", "SHA256"} <= STRONG and not STRONG & {"MD5", "SHA1", "RMD160"}
    with pytest.raises(ValueError, match="WHIRLPOOL cannot be computed"):
        hasher("WHIRLPOOL")

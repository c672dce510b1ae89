"""What a mirror must have: everybody who needs a file, conflicts, and what is odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.mirror.digests import computable
from crosprov.mirror.model import Archive, Fault, Need, Needs, Owner, Place, Tree, Uri
from crosprov.mirror.needs import Conflict, needs_of
from tests.mirror.growing import BLAKE2B, SHA512, dist, grow_ebuild, grow_tree, write_manifest

SITE = "https://example.com"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return grow_tree(tmp_path / "one", "one")


def look(*paths: Path, source: bool = False) -> Needs:
    trees = [Tree(path.name, path, path.name != "private") for path in paths]
    return needs_of(trees, source_stale=source)


def kinds(needs: Needs) -> list[str]:
    return sorted(remark.kind for remark in needs.remarks)


def test_a_need_names_its_owners_with_line_and_addresses(tree: Path) -> None:
    uris = f"{SITE}/a-1.zip {SITE}/v1 -> b%2F1.mod"
    ebuild = grow_ebuild(tree, "cat/a-1-r2", src_uri=uris, restrict="mirror")
    manifest = write_manifest(tree, "cat/a", dist("a-1.zip"), dist("b%2F1.mod", 11))
    needs = look(tree)
    assert needs.remarks == ()
    assert list(needs.archives) == ["a-1.zip", "b%2F1.mod"]
    need = needs.archives["b%2F1.mod"]
    assert need.archive == Archive("b%2F1.mod", 11, {"BLAKE2B": BLAKE2B, "SHA512": SHA512})
    owner = Owner(
        tree="one",
        package="cat/a",
        ebuild=str(ebuild),
        version="1-r2",
        manifest=Place(str(manifest), 2),
        uris=(Uri(f"{SITE}/v1", restricted=True),),
        public=True,
    )
    assert need.owners == (owner,)
    assert need == Need(need.archive, (owner,)) and need != Need(need.archive)


def test_owners_of_all_trees_are_joined(tree: Path, tmp_path: Path) -> None:
    """The same file of several ebuilds, packages and trees: all addresses are kept."""
    private = grow_tree(tmp_path / "private", "two", masters="one")
    (tree / "profiles/thirdpartymirrors").write_text("gnu https://gnu.example.com\n")
    grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/x-1.zip x? ( {SITE}/y -> x-1.zip )")
    grow_ebuild(tree, "cat/a-2", src_uri=f"{SITE}/x-1.zip")
    grow_ebuild(private, "cat/b-1", src_uri="mirror://gnu/x/x-1.zip mirror://gentoo/x-1.zip")
    write_manifest(tree, "cat/a", dist("x-1.zip", hashes=f"SHA512 {SHA512}"))
    write_manifest(private, "cat/b", dist("x-1.zip", hashes=f"BLAKE2B {BLAKE2B}"))
    needs = look(tree, private)
    need = needs.archives["x-1.zip"]
    assert need.archive.hashes == {"BLAKE2B": BLAKE2B, "SHA512": SHA512}
    assert [(owner.tree, owner.version, owner.public) for owner in need.owners] == [
        ("one", "1", True),
        ("one", "2", True),
        ("private", "1", False),
    ]
    assert [[uri.text for uri in owner.uris] for owner in need.owners] == [
        [f"{SITE}/x-1.zip", f"{SITE}/y"],
        [f"{SITE}/x-1.zip"],
        ["https://gnu.example.com/x/x-1.zip"],
    ]
    assert needs.remarks == ()


CLASHES = [
    (dist("x-1.tar.xz", 11), "10 and 11 bytes"),
    (dist("x-1.tar.xz", hashes=f"SHA512 {'6' * 128}"), "with the same size"),
]


@pytest.mark.parametrize(("entry", "difference"), CLASHES)
def test_one_name_with_two_contents_is_an_error_that_names_both(
    tree: Path, tmp_path: Path, entry: str, difference: str
) -> None:
    other = grow_tree(tmp_path / "two", "two")
    for path, package in ((tree, "a"), (other, "b")):
        grow_ebuild(path, f"cat/{package}-1", src_uri=f"{SITE}/x-1.tar.xz")
    first = write_manifest(tree, "cat/a", dist("x-1.tar.xz"))
    second = write_manifest(other, "cat/b", "\n", entry)
    with pytest.raises(Conflict) as caught:
        look(tree, other)
    sentence = caught.value.sentence
    assert f"cat/a of one ({first}:1) and cat/b of two ({second}:2)" in sentence
    assert difference in sentence and "\n" not in sentence
    assert caught.value.hint is not None and "x-1_YYYYMMDD.tar.xz" in caught.value.hint
    assert [clash.name for clash in caught.value.clashes] == ["x-1.tar.xz"]


def test_all_conflicts_are_found_at_once(tree: Path) -> None:
    for package, size in (("a", 1), ("b", 2), ("c", 3)):
        grow_ebuild(tree, f"cat/{package}-1", src_uri=f"{SITE}/x-1 {SITE}/y.zip")
        write_manifest(tree, f"cat/{package}", dist("x-1", size), dist("y.zip", size))
    with pytest.raises(Conflict, match="and 1 more names do as well") as caught:
        look(tree)
    assert {clash.name: clash.later.package for clash in caught.value.clashes} == {
        "x-1": "cat/b",
        "y.zip": "cat/b",
    }


def test_a_bad_line_spoils_its_package_only(tree: Path) -> None:
    for package in ("a", "b"):
        grow_ebuild(tree, f"cat/{package}-1", src_uri=f"{SITE}/{package}-1.zip")
    path = write_manifest(tree, "cat/a", dist("a-1.zip"), dist("../f"), dist("a-2.zip", -1))
    write_manifest(tree, "cat/b", dist("b-1.zip"))
    needs = look(tree)
    assert list(needs.archives) == ["b-1.zip"]
    assert [str(remark.place) for remark in needs.remarks] == [f"{path}:2", f"{path}:3"]
    assert kinds(needs) == ["bad Manifest"] * 2


def test_a_manifest_that_cannot_be_read_is_named(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/a-1.zip")
    (tree / "cat/a/Manifest").mkdir()
    (remark,) = look(tree).remarks
    assert remark.kind == "bad Manifest" and "cannot be read" in remark.sentence


def test_what_does_not_fit_together_is_remarked_and_not_mirrored(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/a-1.zip {SITE}/unproven-1.zip")
    write_manifest(tree, "cat/a", dist("a-1.zip"), dist("unused-1.zip"))
    grow_ebuild(tree, "cat/b-1", src_uri=f"{SITE}/b-1.zip")
    grow_ebuild(tree, "cat/c-1", src_uri="mirror://nowhere/c-1.zip mirror://gentoo/c-1.zip")
    write_manifest(tree, "cat/c", dist("c-1.zip"))
    grow_ebuild(tree, "cat/d-1")
    needs = look(tree)
    assert list(needs.archives) == ["a-1.zip", "c-1.zip"]
    assert needs.archives["c-1.zip"].owners[0].uris == ()
    said = {remark.kind: remark for remark in needs.remarks}
    assert kinds(needs) == ["no entry", "no entry", "unknown mirror", "unused entry"]
    assert str(said["unused entry"].place).endswith("cat/a/Manifest:2")
    assert "unused-1.zip" in said["unused entry"].sentence
    assert "b-1.zip" in said["no entry"].sentence
    assert "mirror://nowhere/" in said["unknown mirror"].sentence


def test_an_ebuild_of_which_nothing_is_known_needs_what_no_other_does(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/a-1.zip")
    grow_ebuild(tree, "cat/a-2", src_uri=f"{SITE}/a-2.zip", cached=False)
    grow_ebuild(tree, "cat/a-3", src_uri="x? a-3.zip")
    write_manifest(tree, "cat/a", *(dist(f"a-{version}.zip") for version in (1, 2, 3)))
    needs = look(tree)
    owners = {name: need.owners for name, need in needs.archives.items()}
    assert [owner.version for owner in owners["a-1.zip"]] == ["1"]
    assert [owner.version for owner in owners["a-2.zip"]] == ["2", "3"]
    assert all(owner.uris == () for owner in owners["a-2.zip"])
    assert kinds(needs) == ["bad SRC_URI", "unknown ebuild"]


def test_stale_entries_are_sourced_and_said_to_be(tree: Path) -> None:
    ebuild = grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/old-1.zip")
    ebuild.write_text(ebuild.read_text().replace("old-1.zip", "${P}.zip"))
    grow_ebuild(tree, "cat/b-1", src_uri=f"{SITE}/b-1.zip", cached=False)
    write_manifest(tree, "cat/a", dist("a-1.zip"))
    write_manifest(tree, "cat/b", dist("b-1.zip"))
    needs = look(tree, source=True)
    assert needs.archives["a-1.zip"].owners[0].uris == (Uri(f"{SITE}/a-1.zip", False),)
    assert kinds(needs) == ["stale cache", "stale cache"]
    assert "it was sourced" in needs.remarks[0].sentence


def test_a_tree_without_any_cache_is_sourced_and_said_once(tree: Path) -> None:
    (tree / "metadata/md5-cache").rmdir()
    for package in ("a", "b"):
        grow_ebuild(tree, f"cat/{package}-1", src_uri=f"{SITE}/{package}-1.zip", cached=False)
        write_manifest(tree, f"cat/{package}", dist(f"{package}-1.zip"))
    needs = look(tree, source=True)
    assert sorted(needs.archives) == ["a-1.zip", "b-1.zip"]
    (remark,) = needs.remarks
    assert "has no metadata/md5-cache: 2 ebuilds were sourced" in remark.sentence


def test_masters_and_left_over_entries_are_remarked(tmp_path: Path) -> None:
    tree = grow_tree(tmp_path / "t", "t", masters="gentoo")
    grow_ebuild(tree, "cat/a-1")
    grow_ebuild(tree, "cat/a-2").unlink()
    needs = look(tree)
    assert kinds(needs) == ["left-over cache", "missing master"]
    assert look(tree, grow_tree(tmp_path / "g", "gentoo")).remarks == needs.remarks[1:]


WEAK = {
    "forged": ("bluez-5.24.tar.xz", f"MD5 {'a' * 32} SHA1 {'b' * 40}", "weak hashes"),
    "not here": ("a-1.zip", f"WHIRLPOOL {'a' * 128}", "no computable hash"),
    "strong elsewhere": ("a-1.zip", f"MD5 {'a' * 32} WHIRLPOOL {'a' * 128}", "weak hashes"),
}


@pytest.mark.parametrize(("name", "hashes", "kind"), WEAK.values(), ids=WEAK)
def test_hashes_that_prove_little_are_remarked(
    tree: Path, name: str, hashes: str, kind: str
) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=f"{SITE}/{name}")
    write_manifest(tree, "cat/a", dist(name, hashes=hashes))
    needs = look(tree)
    assert list(needs.archives) == [name]
    assert kinds(needs) == [kind]
    assert bool(computable(needs.archives[name].archive.hashes)) is (kind == "weak hashes")


def test_a_folder_that_is_no_tree_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no tree of ebuilds"):
        look(tmp_path)

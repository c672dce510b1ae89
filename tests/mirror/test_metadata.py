"""Metadata of ebuilds: the cache and when it is no longer true, and sourcing with pkgcore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.mirror.metadata import Cache, Metadata, Stale
from crosprov.mirror.sourcing import Wanted, source_ebuilds
from tests.mirror.growing import grow_ebuild, grow_tree

URI = "https://example.com/a-1.zip"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return grow_tree(tmp_path / "tree", "t", eclasses={"one": "ONE=1\n", "two": "TWO=2\n"})


def look(tree: Path, *, masters: tuple[Path, ...] = (), trusting: bool = False) -> Metadata | Stale:
    return Cache((tree, *masters), trusting=trusting).find("cat", "a", "a-1.ebuild")


def test_a_true_entry_is_believed(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=URI, restrict="mirror", inherit=("one", "two"))
    assert look(tree) == Metadata("8", URI, "mirror")


def change_ebuild(tree: Path) -> None:
    with open(tree / "cat/a/a-1.ebuild", "a") as ebuild:
        ebuild.write("# changed\n")


def change_eclass(tree: Path) -> None:
    (tree / "eclass/two.eclass").write_text("TWO=3\n")


def lose_eclass(tree: Path) -> None:
    (tree / "eclass/two.eclass").unlink()


def lose_entry(tree: Path) -> None:
    (tree / "metadata/md5-cache/cat/a-1").unlink()


def garble_entry(tree: Path) -> None:
    (tree / "metadata/md5-cache/cat/a-1").write_bytes(b"\xff no entry\n")


def garble_eclasses(tree: Path) -> None:
    entry = tree / "metadata/md5-cache/cat/a-1"
    entry.write_text(entry.read_text().replace("_eclasses_=", "_eclasses_=three\t"))


def lose_digest(tree: Path) -> None:
    entry = tree / "metadata/md5-cache/cat/a-1"
    entry.write_text(entry.read_text().partition("_md5_")[0])


def swallow_ebuild(tree: Path) -> None:
    (tree / "cat/a/a-1.ebuild").unlink()


STALE: list[tuple[Callable[[Path], None], str]] = [
    (change_ebuild, "it was changed after"),
    (change_eclass, "its eclass two was changed"),
    (lose_eclass, "its eclass two is nowhere"),
    (lose_entry, "has no entry of it"),
    (garble_entry, "cannot be read"),
    (garble_eclasses, "cannot be read"),
    (lose_digest, "cannot be read"),
    (swallow_ebuild, "the ebuild cannot be read"),
]


@pytest.mark.parametrize(("harm", "said"), STALE, ids=[harm.__name__ for harm, _ in STALE])
def test_an_entry_that_is_no_longer_true_is_not_believed(
    tree: Path, harm: Callable[[Path], None], said: str
) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=URI, inherit=("one", "two"))
    harm(tree)
    found = look(tree)
    assert isinstance(found, Stale) and said in found.reason


def test_eclasses_of_masters_count_and_those_of_the_tree_come_first(tmp_path: Path) -> None:
    master = grow_tree(tmp_path / "master", "m", eclasses={"one": "ONE=other\n"})
    tree = grow_tree(tmp_path / "tree", "t", masters="m")
    (tree / "eclass/one.eclass").write_text("ONE=1\n")
    grow_ebuild(tree, "cat/a-1", src_uri=URI, inherit=("one",))
    assert isinstance(look(tree, masters=(master,)), Metadata)
    (tree / "eclass/one.eclass").unlink()
    assert isinstance(look(tree, masters=(master,)), Stale)


def test_an_eclass_of_a_master_that_is_not_here_is_taken_on_trust(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1", src_uri=URI, inherit=("one", "two"))
    lose_eclass(tree)
    assert isinstance(look(tree, trusting=True), Metadata)
    change_ebuild(tree)
    assert isinstance(look(tree, trusting=True), Stale)


def test_entries_of_no_ebuild_are_found(tree: Path) -> None:
    grow_ebuild(tree, "cat/a-1")
    grow_ebuild(tree, "cat/a-2").unlink()
    cache = Cache((tree,), trusting=False)
    assert cache.left_over("cat", ["a-1"]) == ["a-2"]
    assert cache.left_over("other", []) == []


def source(
    tree: Path, *stems: str, masters: tuple[Path, ...] = (), limit: float = 60.0
) -> list[object]:
    wanted = [Wanted("cat", *stem.split("-", 1)) for stem in stems]
    return list(source_ebuilds((tree, *masters), wanted, limit=limit))


def test_ebuilds_are_sourced_with_the_eclasses_of_their_masters(tmp_path: Path) -> None:
    """One that fails, one that talks, one that asks, and one that is not there do not matter."""
    site = 'SRC_URI="https://example.com/${P}.zip"\nRESTRICT="mirror"\n'
    master = grow_tree(tmp_path / "m", "m", eclasses={"site": site, "over": "die wrong\n"})
    tree = grow_tree(tmp_path / "t", "t", masters="m", eclasses={"over": "OVER=1\n"})
    for stem, text in {
        "a-1": "inherit site over\n",
        "b-1": 'die "not today"\n',
        "c-1": "inherit site\necho loud\necho '{\"eapi\": 1}' >&2\nread -r answer\n",
        "d-1": "inherit nowhere\n",
        "e-1": "inherit site\n",
    }.items():
        ebuild = grow_ebuild(tree, f"cat/{stem}", cached=False)
        ebuild.write_text(f'EAPI=7\n{text}DESCRIPTION="x"\nSLOT="0"\n')
    before = sorted(path for path in tmp_path.rglob("*"))
    a, b, c, d, gone, e = source(tree, "a-1", "b-1", "c-1", "d-1", "z-1", "e-1", masters=(master,))
    assert a == Metadata("7", "https://example.com/a-1.zip", "mirror")
    assert isinstance(b, Stale) and "not today" in b.reason and "\n" not in b.reason
    assert c == Metadata("7", "https://example.com/c-1.zip", "mirror")
    assert isinstance(d, Stale) and "nowhere" in d.reason
    assert isinstance(gone, Stale)
    assert e == Metadata("7", "https://example.com/e-1.zip", "mirror")
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_an_ebuild_that_never_ends_is_ended_and_the_next_is_sourced(tree: Path) -> None:
    """The first answer has the time that pkgcore needs to be loaded; the hanging one is second."""
    grow_ebuild(tree, "cat/a-1", src_uri=URI)
    pid = tree / "pid"
    grow_ebuild(tree, "cat/b-1").write_text(
        f'EAPI=8\nSLOT=0\necho $BASHPID > "{pid}"\nwhile :; do read -r -t 1 <> <(:); done\n'
    )
    grow_ebuild(tree, "cat/c-1", src_uri=URI)
    a, b, c = source(tree, "a-1", "b-1", "c-1", limit=2.0)
    assert isinstance(a, Metadata) and isinstance(c, Metadata)
    assert b == Stale("sourcing it took longer than 2 s")
    assert not is_alive(int(pid.read_text()))


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has buried yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_a_folder_that_is_no_tree_gives_a_reason_for_each(tmp_path: Path) -> None:
    answers = source(tmp_path, "a-1", "b-1")
    assert len(answers) == 2
    assert all(isinstance(answer, Stale) and answer.reason for answer in answers)


def test_nothing_of_this_process_s_environment_is_seen(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    grow_ebuild(tree, "cat/a-1", src_uri="https://example.com/x${SECRET_TOKEN}y-1.zip")
    assert source(tree, "a-1") == [Metadata("8", "https://example.com/xy-1.zip", "")]

"""The memory of trees: the same answers with and without it, whatever happens to either."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosprov.mirror import memory as files
from crosprov.mirror import sightings
from crosprov.mirror.deferred import Deferred
from crosprov.mirror.model import Fault, Needs, Tree
from crosprov.mirror.needs import needs_of
from crosprov.mirror.tree_memory import FILE, TreeMemory
from tests.mirror.growing import dist, grow_ebuild, grow_tree, keep, pass_a_tick, write_manifest

SITE = "https://example.com"
ECLASS = {"e": "# an eclass\n"}


@pytest.fixture(autouse=True, scope="module")
def _no_rest() -> Iterator[None]:
    """Remember trees that were changed a moment ago: these tests see to it that ticks pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sightings, "REST", -3600.0)
        yield


def grow(root: Path) -> Path:
    """Make two trees, the second of which follows the first, with all in order."""
    one = grow_tree(root / "one", "one", eclasses=ECLASS)
    two = grow_tree(root / "two", "two", masters="one")
    (one / "profiles/thirdpartymirrors").write_text("gnu https://gnu.example.com\n")
    for tree, package in ((one, "cat/a"), (one, "dog/b"), (two, "cat/c")):
        name = package[4:]
        for version in ("1", "2"):
            uris = f"{SITE}/{name}-{version}.zip mirror://gnu/{name}.zip"
            grow_named(tree, f"{package}-{version}", uris)
        entries = [dist(f"{name}-1.zip"), dist(f"{name}-2.zip"), dist(f"{name}.zip")]
        write_manifest(tree, package, *entries)
    return root


def grow_named(tree: Path, name: str, uris: str, *, cached: bool = True) -> Path:
    """Add an ebuild that inherits what the first tree has."""
    path = grow_ebuild(tree, name, src_uri=uris, cached=False)
    if cached:
        eclass = tree.parent / "one/eclass"
        inherit = ("e",) if (eclass / "e.eclass").is_file() else ()
        category = name.partition("/")[0]
        (tree / "metadata/md5-cache").mkdir(exist_ok=True)
        if tree.name == "one":
            keep(tree, category, path, uris, "", "8", inherit)
        else:
            keep(tree, category, path, uris, "", "8", ())
    return path


def trees_of(root: Path) -> list[Tree]:
    return [Tree(name, root / name, name == "one") for name in ("one", "two")]


def ask(root: Path, memory: TreeMemory | None = None) -> Needs:
    return needs_of(trees_of(root), source_stale=False, memory=memory)


def answer(root: Path, memory: TreeMemory | None = None) -> tuple[str, Any]:
    """Give all that is found, or why nothing is, and the mark that vouches for it."""
    try:
        needs = ask(root, memory)
        owners = [(name, need.archive, need.owners) for name, need in needs.archives.items()]
        return needs.mark, (owners, needs.remarks)
    except Fault as fault:
        return "", (type(fault), str(fault), fault.hint)


def rewrite(path: Path, old: str, new: str) -> None:
    """Change a file in place, without anything that its length or its time of writing tells."""
    if not path.is_file():
        return
    before = path.stat()
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def renew(root: Path, old: str, new: str) -> None:
    """Change what an ebuild fetches, with its entry in the cache."""
    tree, uris = root / "one", f"{SITE}/{new}.zip"
    if (tree / "cat/a").is_dir():
        grow_named(tree, f"cat/a-{old}", uris)


def move(old: Path, new: Path) -> None:
    if old.exists() and not new.exists():
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)


def swap(one: Path, other: Path) -> None:
    """Let two paths change their places."""
    if one.exists() and other.exists():
        aside = one.with_name(".aside")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)


def link(path: Path, target: Path) -> None:
    """Let a symbolic link lead to what may not be there."""
    if not os.path.lexists(path):
        path.symlink_to(target)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_dir():
        path.write_text(text)


def drop(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


A, LAYOUT = "one/cat/a/", "two/metadata/layout.conf"
CACHE = "one/metadata/md5-cache/cat/"
EDITS: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "touch": lambda root: (root / A / "Manifest").touch(),
    "another size": lambda root: rewrite(root / A / "Manifest", "a-1.zip 10", "a-1.zip 11"),
    "the size again": lambda root: rewrite(root / A / "Manifest", "a-1.zip 11", "a-1.zip 10"),
    "another digest": lambda root: rewrite(root / A / "Manifest", "bbbb", "cccc"),
    "a conflict": lambda root: write_manifest(root / "two", "cat/c", dist("c-1.zip", 3)),
    "its other side": lambda root: grow_named(root / "one", "cat/a-3", f"{SITE}/c-1.zip"),
    "another entry": lambda root: write_manifest(
        root / "one", "cat/a", dist("a-1.zip"), dist("a-2.zip"), dist("c-1.zip", 7)
    ),
    "a bad line": lambda root: write_manifest(root / "one", "dog/b", "DIST ../x 1 MD5 0\n"),
    "no Manifest": lambda root: drop(root / A / "Manifest"),
    "a folder for a Manifest": lambda root: (root / "two/cat/d/Manifest").mkdir(
        parents=True, exist_ok=True
    ),
    "a new ebuild": lambda root: grow_named(root / "one", "cat/a-4", f"{SITE}/a-1.zip"),
    "no cache of it": lambda root: grow_named(root / "one", "cat/a-5", SITE, cached=False),
    "its cache is gone": lambda root: drop(root / CACHE / "a-1"),
    "an ebuild less": lambda root: drop(root / A / "a-2.ebuild"),
    "an ebuild renamed": lambda root: move(root / A / "a-2.ebuild", root / A / "a-6.ebuild"),
    "cache renamed": lambda root: move(root / CACHE / "a-2", root / CACHE / "a-6"),
    "a left-over entry": lambda root: write(root / CACHE / "old-1", "EAPI=8\n"),
    "another file is fetched": lambda root: renew(root, "1", "a-2"),
    "the file again": lambda root: renew(root, "1", "a-1"),
    "the cache says else": lambda root: rewrite(root / CACHE / "a-2", "a-2.zip", "a-1.zip"),
    "the ebuild says else": lambda root: rewrite(root / A / "a-2.ebuild", "a-2.zip", "a-1.zip"),
    "packages swapped": lambda root: swap(root / "one/cat", root / "one/dog"),
    "Manifests swapped": lambda root: swap(root / A / "Manifest", root / "one/dog/b/Manifest"),
    "a package moved": lambda root: move(root / "one/dog/b", root / "two/dog/b"),
    "a tree moved aside": lambda root: move(root / "one/dog", root / "one/.dog"),
    "a link to nothing": lambda root: link(root / "two/pet", root / "pet"),
    "the link's target": lambda root: write(
        root / "pet/p/Manifest", dist("p.zip") + dist("c-1.zip", 99)
    ),
    "a link for a package": lambda root: link(root / "two/cat/p", root / "pet/p"),
    "another name": lambda root: write(root / LAYOUT, "repo-name = zwei\nmasters = one\n"),
    "no masters": lambda root: write(root / LAYOUT, "masters =\n"),
    "a master that is missing": lambda root: write(root / LAYOUT, "masters = one gentoo\n"),
    "no use of Manifests": lambda root: write(root / LAYOUT, "use-manifests = false\n"),
    "another mirror": lambda root: write(
        root / "one/profiles/thirdpartymirrors", "gnu https://ftp.example.com\n"
    ),
    "no mirrors": lambda root: drop(root / "one/profiles/thirdpartymirrors"),
    "an eclass changed": lambda root: write(root / "one/eclass/e.eclass", "# another one\n"),
    "the eclass again": lambda root: write(root / "one/eclass/e.eclass", ECLASS["e"]),
    "no eclass": lambda root: drop(root / "one/eclass"),
    "no cache at all": lambda root: drop(root / "two/metadata/md5-cache"),
    "nothing left": lambda root: drop(root / "two/cat"),
}


def check(root: Path, edits: Sequence[str]) -> None:
    """Compare answers with and without the memory, before and after each edit.

    A mark that comes again has to stand for the same answer: a sync relies on that.
    """
    memory = TreeMemory(grow(root))
    known: dict[str, Any] = {}
    for edit in ["nothing", *edits]:
        pass_a_tick(root)
        with suppress(OSError):  # earlier ones took away what it is about
            EDITS[edit](root)
        _, true = answer(root)
        for _ in ("read", "remembered"):
            mark, found = answer(root, memory)
            assert found == true, edit
            if mark:
                assert known.setdefault(mark, true) == true, edit


@pytest.mark.parametrize("edit", EDITS)
def test_each_edit_gives_the_same_answer_with_and_without_the_memory(
    tmp_path: Path, edit: str
) -> None:
    check(tmp_path, [edit])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(EDITS)), max_size=8))
@example(["a link to nothing", "the link's target", "nothing"])
@example(["another size", "the size again", "nothing", "packages swapped"])
@example(["a new ebuild", "the cache says else", "nothing", "Manifests swapped"])
@example(["its other side", "another entry", "nothing"])
def test_edits_give_the_same_answers_with_and_without_the_memory(edits: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), edits)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path)


def test_trees_that_are_as_they_were_are_not_read(root: Path) -> None:
    memory = TreeMemory(root)
    grow_named(root / "one", "cat/a-3", f"{SITE}/unproven.zip")
    first, again = ask(root, memory), ask(root, memory)
    assert isinstance(first.archives, dict) and isinstance(again.archives, Deferred)
    assert first.mark == again.mark != ""
    assert [remark.kind for remark in again.remarks] == ["no entry"]
    os.chmod(root / "one/cat/a/Manifest", 0o600)
    changed = ask(root, memory)
    assert isinstance(changed.archives, dict) and changed.mark != first.mark
    assert again == first == changed == ask(root)
    assert list(again.archives) == list(first.archives) and len(again.archives) == 9


def test_what_was_changed_a_moment_ago_is_not_remembered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "REST", 4.0)
    assert ask(root, TreeMemory(root)).mark == ""
    assert not (root / FILE).exists()


@pytest.mark.parametrize("edit", ["no cache of it", "a folder for a Manifest"])
def test_what_may_be_otherwise_the_next_time_is_not_remembered(root: Path, edit: str) -> None:
    EDITS[edit](root)
    assert ask(root, TreeMemory(root)).mark == ""
    assert not (root / FILE).exists()


def test_another_question_about_the_same_trees_is_another_one(root: Path) -> None:
    memory = TreeMemory(root)
    mark = ask(root, memory).mark
    one, two = trees_of(root)
    private = Tree(one.name, one.path, public=False)
    for trees in ([one], [two, one], [private, two]):
        needs = needs_of(trees, source_stale=False, memory=memory)
        assert isinstance(needs.archives, dict) and needs.mark not in ("", mark)
        assert needs == needs_of(trees, source_stale=False)


def test_the_memory_is_private_and_small_beside_the_trees(root: Path) -> None:
    ask(root, TreeMemory(root))
    status = (root / FILE).stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert [path.name for path in root.iterdir() if FILE in path.name] == [FILE]


@pytest.mark.parametrize("state", ["nowhere", "one/profiles/repo_name"])
def test_a_memory_that_cannot_be_written_is_none(root: Path, state: str) -> None:
    memory = TreeMemory(root / state)
    assert ask(root, memory) == ask(root, memory) == ask(root)


def test_one_that_may_only_be_read_is_read_and_not_written(root: Path) -> None:
    looking = TreeMemory(root, read_only=True)
    mark = ask(root, looking).mark
    assert mark and not (root / FILE).exists()
    assert ask(root, TreeMemory(root)).mark == mark
    assert isinstance(ask(root, looking).archives, Deferred)


def overwrite(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replace(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Move the file away, to where a link may find it, and make something else."""

    def damage(path: Path) -> None:
        path.rename(path.with_name("elsewhere"))
        make(path)

    return damage


DAMAGE: Mapping[str, Callable[[Path], object]] = {
    "gone": drop,
    "empty": overwrite(lambda content: b""),
    "cut short": overwrite(lambda content: content[:-9]),
    "longer": overwrite(lambda content: content + b" "),
    "a bit": overwrite(lambda content: content.replace(b"repo_name", b"repo_namf", 1)),
    "another remark": overwrite(lambda content: content.replace(b"[]", b"[0]", 1)),
    "no digest": overwrite(lambda content: content.partition(b"\n")[2]),
    "not text": overwrite(lambda content: b"\xff" * 65),
    "a folder": replace(Path.mkdir),
    "a link": replace(lambda path: path.symlink_to("elsewhere")),
    "a pipe": replace(os.mkfifo),
    "others may write it": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_memory_that_is_not_whole_and_ours_costs_a_reading(
    root: Path, damage: Callable[[Path], object]
) -> None:
    memory = TreeMemory(root)
    ask(root, memory)
    damage(root / FILE)
    needs = ask(root, memory)
    assert isinstance(needs.archives, dict)
    assert needs == ask(root)


def test_a_memory_of_another_program_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(root, TreeMemory(root))
    monkeypatch.setattr(files, "_stamp", lambda: "another version")
    assert isinstance(ask(root, TreeMemory(root)).archives, dict)


def test_facts_of_any_kind_come_back(tmp_path: Path) -> None:
    facts = {"paths": ["ü", "\udcff", "a\nb"], "none": None, "count": 1}
    files.keep(tmp_path / "facts", facts)
    assert files.recall(tmp_path / "facts") == facts


def test_an_eclass_is_looked_for_among_eclasses_only(root: Path) -> None:
    """A path in its place would be a file on which the answer depends and nobody looks."""
    entry = root / CACHE / "a-1"
    entry.write_text(entry.read_text().replace("_eclasses_=e", "_eclasses_=../eclass/e"))
    (remark,) = ask(root).remarks
    assert remark.kind == "unknown ebuild" and "nowhere to be found" in remark.sentence

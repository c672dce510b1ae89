"""The memory of sourced ebuilds: each is sourced once, and again when something of it changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosprov.mirror import learning, needs, sightings, sourced_memory
from crosprov.mirror import memory as files
from crosprov.mirror.deferred import Deferred
from crosprov.mirror.events import Event, Sourcing, mute
from crosprov.mirror.metadata import Metadata, Stale
from crosprov.mirror.model import Needs, Tree
from crosprov.mirror.needs import needs_of
from crosprov.mirror.sourced_memory import FILE, SourcedMemory
from crosprov.mirror.sourcing import Sourced, Wanted, source
from crosprov.mirror.tree_memory import TreeMemory
from tests.mirror.growing import dist, grow_ebuild, grow_tree, keep, pass_a_tick, write_manifest

SITE = "https://example.com"


@dataclass
class Shell:
    """Source ebuilds as pkgcore does, as far as these tests use it: eclasses add to SRC_URI.

    `asked` collects what was sourced, `meanwhile` is done after each ebuild was read.
    """

    asked: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def source(
        self, folders: Sequence[Path], wanted: Sequence[Wanted], *, limit: float = 60.0
    ) -> Iterator[Sourced | Stale]:
        for one in wanted:
            stem = f"{one.package}-{one.version}"
            self.asked.append(stem)
            inherited: list[str] = []
            try:
                path = folders[0] / one.category / one.package / f"{stem}.ebuild"
                uris = " ".join(_read(path, folders, inherited)).replace("${P}", stem)
            except OSError:
                yield Stale("sourcing it failed: an eclass is missing")
            else:
                self.meanwhile()
                yield Sourced(Metadata("8", uris, ""), tuple(inherited))

    def take(self) -> list[str]:
        """Give what was sourced since the last time."""
        taken, self.asked = sorted(self.asked), []
        return taken


def _read(path: Path, folders: Sequence[Path], inherited: list[str]) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line.startswith("inherit "):
            for name in line.split()[1:]:
                inherited.append(name)
                found = (folder / f"eclass/{name}.eclass" for folder in folders)
                eclass = next((one for one in found if one.is_file()), path / "nowhere")
                yield from _read(eclass, folders, inherited)
        elif line.startswith("SRC_URI="):
            yield line.partition("=")[2].strip('"')


@pytest.fixture(autouse=True, scope="module")
def shell() -> Iterator[Shell]:
    """Source without pkgcore, and remember what was changed a moment ago."""
    shell = Shell()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sightings, "REST", -3600.0)
        patch.setattr(learning, "source", shell.source)
        yield shell


def grow(root: Path) -> Path:
    """Make two trees without cached metadata, the second of which follows the first."""
    eclasses = {"deep": f"SRC_URI={SITE}/deep.zip\n", "site": "inherit deep\n", "other": "\n"}
    one = grow_tree(root / "one", "one", eclasses=eclasses)
    two = grow_tree(root / "two", "two", masters="one")
    for tree in (one, two):
        (tree / "metadata/md5-cache").rmdir()
    for tree, stem, inherit in ((one, "a-1", ("site",)), (one, "b-1", ()), (two, "c-1", ("site",)),
                                (two, "d-1", ("deep", "other"))):  # fmt: skip
        grow_bare(tree, stem, *inherit)
        write_manifest(tree, f"cat/{stem[0]}", dist(f"{stem}.zip"), dist("deep.zip"))
    return root


def grow_bare(tree: Path, stem: str, *inherit: str) -> Path:
    """Add an ebuild of which no cache tells."""
    uri = f"{SITE}/${{P}}.zip"
    return grow_ebuild(tree, f"cat/{stem}", src_uri=uri, inherit=inherit, cached=False)


@pytest.fixture
def root(tmp_path: Path, shell: Shell) -> Path:
    shell.meanwhile = lambda: None
    shell.take()
    return grow(tmp_path)


def trees_of(root: Path) -> list[Tree]:
    return [Tree(name, root / name, True) for name in ("one", "two")]


def ask(root: Path, **options: Any) -> Needs:
    """Find what the trees need with a memory that was opened anew."""
    sourced = SourcedMemory(root, read_only=options.pop("read_only", False))
    return needs_of(trees_of(root), sourced=sourced, **options)


def facts(found: Needs) -> tuple[Any, ...]:
    """Give all that was found, but for when it was sourced."""
    owners = [(name, need.archive, need.owners) for name, need in found.archives.items()]
    return owners, [remark for remark in found.remarks if remark.kind != "no cache"]


def remembered(root: Path) -> list[str]:
    known = files.recall(root / FILE)
    return sorted(Path(path).stem for path in known["ebuilds"]) if known else []


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def append(path: Path, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


def cache(root: Path) -> None:
    """Write a true entry of the tree's cache."""
    folder, uri = root / "one", f"{SITE}/b-1.zip"
    (folder / "metadata/md5-cache").mkdir(exist_ok=True)
    keep(folder, "cat", folder / "cat/b/b-1.ebuild", uri, "", "8", ())


# What is done, and which ebuilds are sourced then.
EDITS: Mapping[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda root: None, []),
    "touched": (lambda root: (root / "one/cat/a/a-1.ebuild").touch(), []),
    "an ebuild": (lambda root: append(root / "one/cat/b/b-1.ebuild", "# more\n"), ["b-1"]),
    "an eclass": (lambda root: append(root / "one/eclass/site.eclass", "#\n"), ["a-1", "c-1"]),
    "an eclass's eclass": (
        lambda root: write(root / "one/eclass/deep.eclass", f"SRC_URI={SITE}/d.zip\n"),
        ["a-1", "c-1", "d-1"],
    ),
    "no eclass": (lambda root: (root / "one/eclass/other.eclass").unlink(), ["d-1"]),
    "an eclass of nobody": (lambda root: write(root / "one/eclass/new.eclass", ""), []),
    "a tree's own eclass": (
        lambda root: write(root / "two/eclass/site.eclass", f"SRC_URI={SITE}/own.zip\n"),
        ["c-1"],
    ),
    "the same in the tree": (
        lambda root: write(
            root / "two/eclass/deep.eclass", (root / "one/eclass/deep.eclass").read_text()
        ),
        [],
    ),
    "no master": (lambda root: write(root / "two/metadata/layout.conf", ""), ["c-1", "d-1"]),
    "a new ebuild": (lambda root: grow_bare(root / "two", "c-2", "other"), ["c-2"]),
    "renamed": (
        lambda root: (root / "one/cat/b/b-1.ebuild").rename(root / "one/cat/b/b-2.ebuild"),
        ["b-2"],
    ),
    "swapped": (
        lambda root: (root / "one/cat/a/a-1.ebuild").replace(root / "one/cat/b/b-1.ebuild"),
        ["b-1"],
    ),
    "gone": (lambda root: (root / "two/cat/d/d-1.ebuild").unlink(), []),
    "a cache": (cache, []),
    "memory gone": (lambda root: (root / FILE).unlink(), ["a-1", "b-1", "c-1", "d-1"]),
    "memory damaged": (
        lambda root: (root / FILE).write_bytes((root / FILE).read_bytes().replace(b"8", b"7", 1)),
        ["a-1", "b-1", "c-1", "d-1"],
    ),
}


@pytest.mark.parametrize(("edit", "sourced"), EDITS.values(), ids=EDITS)
def test_only_what_changed_is_sourced_again(
    root: Path, shell: Shell, edit: Callable[[Path], object], sourced: list[str]
) -> None:
    """None is sourced because of what it does not inherit."""
    ask(root)
    assert shell.take() == ["a-1", "b-1", "c-1", "d-1"]
    edit(root)
    found = ask(root)
    assert shell.take() == sourced
    assert facts(found) == facts(needs_of(trees_of(root)))


def check(root: Path, edits: Sequence[str]) -> None:
    """Compare answers with and without memories of both kinds, after each edit."""
    trees = TreeMemory(grow(root))
    known: dict[str, Any] = {}
    for edit in ["nothing", *edits]:
        pass_a_tick(root)
        with suppress(OSError):  # earlier ones took away what it is about
            EDITS[edit][0](root)
        true = facts(needs_of(trees_of(root)))
        for _ in ("read", "remembered"):
            assert facts(ask(root)) == true, edit
            found = ask(root, memory=trees)
            assert facts(found) == true, edit
            if found.mark:
                assert known.setdefault(found.mark, true) == true, edit


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(EDITS)), max_size=7))
@example(["an eclass's eclass", "a tree's own eclass", "no eclass", "renamed"])
@example(["the same in the tree", "an eclass's eclass", "no master"])
def test_edits_give_the_same_answers_with_and_without_the_memories(edits: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), edits)


def test_a_failure_is_tried_again_and_never_remembered(root: Path, shell: Shell) -> None:
    grow_bare(root / "one", "a-2", "nowhere")
    for asked in (["a-1", "a-2", "b-1", "c-1", "d-1"], ["a-2"], ["a-2"]):
        found = ask(root, memory=TreeMemory(root))
        assert shell.take() == asked and found.mark == ""
        assert "unknown ebuild" in [remark.kind for remark in found.remarks]
    assert remembered(root) == ["a-1", "b-1", "c-1", "d-1"]
    write(root / "one/eclass/nowhere.eclass", "")
    assert ask(root, memory=TreeMemory(root)).mark
    assert remembered(root) == ["a-1", "a-2", "b-1", "c-1", "d-1"]


def test_ebuilds_that_are_gone_are_forgotten(root: Path) -> None:
    ask(root)
    cache(root)
    (root / "two/cat/d/d-1.ebuild").unlink()
    ask(root)
    assert remembered(root) == ["a-1", "c-1"]


def test_what_is_not_to_be_sourced_is_neither_told_nor_forgotten(root: Path, shell: Shell) -> None:
    ask(root)
    found = ask(root, source_stale=False)
    assert [remark.kind for remark in found.remarks] == ["unknown ebuild"] * 4
    assert remembered(root) == ["a-1", "b-1", "c-1", "d-1"]


def test_the_memory_has_a_bound(root: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sourced_memory, "LARGEST", 250)
    ask(root)
    assert remembered(root) == ["a-1", "b-1"]
    shell.take()
    ask(root)
    assert shell.take() == ["c-1", "d-1"]


def test_one_that_may_only_be_read_is_read_and_not_written(root: Path, shell: Shell) -> None:
    ask(root, read_only=True)
    assert not (root / FILE).exists()
    ask(root)
    before = (root / FILE).read_bytes()
    (root / "one/cat/b/b-1.ebuild").unlink()
    shell.take()
    ask(root, read_only=True)
    assert shell.take() == [] and (root / FILE).read_bytes() == before


def test_what_is_known_already_is_not_written_again(root: Path) -> None:
    ask(root)
    before = (root / FILE).stat()
    ask(root)
    assert (root / FILE).stat() == before
    assert before.st_mode & 0o777 == 0o600


def test_what_was_learned_before_a_stop_is_known_afterwards(root: Path, shell: Shell) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Sourcing) and event.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(root, events=stop)
    assert remembered(root) == ["a-1"]
    shell.take()
    ask(root)
    assert shell.take() == ["b-1", "c-1", "d-1"]


def test_what_was_learned_is_written_while_others_are_sourced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves what a look into the file finds at that moment."""
    monkeypatch.setattr(sourced_memory, "EVERY", 0.0)
    seen: list[tuple[Event, list[str]]] = []
    ask(root, events=lambda event: seen.append((event, remembered(root))))
    assert seen == [
        (Sourcing(0, 2), []),
        (Sourcing(1, 2), ["a-1"]),
        (Sourcing(2, 2), ["a-1", "b-1"]),
        (Sourcing(0, 2), ["a-1", "b-1"]),
        (Sourcing(1, 2), ["a-1", "b-1", "c-1"]),
        (Sourcing(2, 2), ["a-1", "b-1", "c-1", "d-1"]),
    ]


MEANWHILE: Mapping[str, tuple[Callable[[Path], object], list[str]]] = {
    "an ebuild": (lambda root: append(root / "one/cat/a/a-1.ebuild", "#\n"), ["c-1", "d-1"]),
    "an eclass": (lambda root: append(root / "one/eclass/other.eclass", "#\n"), ["a-1", "c-1"]),
    "the tree's own": (lambda root: append(root / "two/eclass/deep.eclass", "#\n"), ["a-1"]),
    "all is gone": (lambda root: (root / "one/eclass/deep.eclass").unlink(missing_ok=True), []),
}


@pytest.mark.parametrize(("change", "kept"), MEANWHILE.values(), ids=MEANWHILE)
def test_what_changed_while_it_was_sourced_is_not_remembered(
    root: Path, shell: Shell, change: Callable[[Path], object], kept: list[str]
) -> None:
    (root / "one/cat/b/b-1.ebuild").unlink()
    shell.meanwhile = lambda: change(root)
    ask(root)
    assert remembered(root) == kept
    shell.meanwhile = lambda: None
    assert facts(ask(root)) == facts(needs_of(trees_of(root)))


def test_another_pkgcore_sources_anew(
    root: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = root / "pkgcore.py"
    installed.write_text("1")
    monkeypatch.setattr(sourced_memory, "program", lambda: str(installed))
    monkeypatch.setattr(needs, "program", lambda: str(installed))
    memory = TreeMemory(root)
    mark = ask(root, memory=memory).mark
    installed.write_text("22")
    shell.take()
    assert ask(root, memory=memory).mark not in ("", mark)
    assert shell.take() == ["a-1", "b-1", "c-1", "d-1"]


def test_what_another_account_remembers_is_left_alone(
    root: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(root)
    before = (root / FILE).read_bytes()
    account = (root / FILE).stat().st_uid + 1
    monkeypatch.setattr("os.geteuid", lambda: account)
    shell.take()
    ask(root)
    assert shell.take() == ["a-1", "b-1", "c-1", "d-1"]
    assert (root / FILE).read_bytes() == before


def test_trees_whose_ebuilds_were_sourced_are_not_read_again(root: Path, shell: Shell) -> None:
    """What they need is still to be had, and costs no sourcing."""
    memory = TreeMemory(root)
    first, again = ask(root, memory=memory), ask(root, memory=memory)
    assert first.mark == again.mark != ""
    assert isinstance(again.archives, Deferred) and facts(first) == facts(again)
    assert shell.take() == ["a-1", "b-1", "c-1", "d-1"]


def test_it_is_said_how_many_were_sourced_and_when(root: Path) -> None:
    def said(**options: Any) -> list[str]:
        found = [remark.sentence for remark in ask(root, **options).remarks]
        return [one.partition("md5-cache: ")[2] for one in found if "md5-cache: " in one]

    trees = TreeMemory(root)
    grow_bare(root / "one", "a-2")
    assert said(memory=trees) == ["3 ebuilds were sourced", "2 ebuilds were sourced"]
    for memory in (trees, None):
        told = ["3 ebuilds were sourced earlier", "2 ebuilds were sourced earlier"]
        assert said(memory=memory) == told
    append(root / "one/cat/b/b-1.ebuild", "#\n")
    (root / "two/cat/d/d-1.ebuild").unlink()
    told = ["3 ebuilds were sourced, 1 of them now and 2 earlier", "1 ebuild was sourced earlier"]
    assert said() == told


def test_pkgcore_names_every_eclass_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sourced for once by the real one: eclasses of eclasses are known, and found in masters."""
    root = grow(tmp_path)
    monkeypatch.setattr(learning, "source", source)
    assert sorted(ask(root).archives) == ["a-1.zip", "b-1.zip", "c-1.zip", "d-1.zip"]
    known = files.recall(root / FILE)
    assert known is not None
    inherited = {
        Path(path).stem: list(filter(None, known["eclasses"][entry[1]].split("\t")[::2]))
        for path, entry in known["ebuilds"].items()
    }
    assert {stem: sorted(names) for stem, names in inherited.items()} == {
        "a-1": ["deep", "site"],
        "b-1": [],
        "c-1": ["deep", "site"],
        "d-1": ["deep", "other"],
    }
    true = facts(needs_of(trees_of(root)))
    monkeypatch.setattr(learning, "source", lambda *given: pytest.fail("it was sourced"))
    assert facts(ask(root, events=mute)) == true

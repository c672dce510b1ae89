"""Trees are copied by what differs, with every name, and nothing is deleted unasked."""

from __future__ import annotations

import getpass
import grp
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.facts.trees import TreeFact
from crosprov.operations.local_tree import scan
from crosprov.operations.trees import SINGLE, Tree, tree
from crosprov.transport.local import LocalTransport
from tests.support.machine import Machine, summary

USER = getpass.getuser()

pytestmark = pytest.mark.skipif(
    USER not in {group.gr_name for group in grp.getgrall()}, reason="no group of the user's name"
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with names of all kinds, a link, and an empty folder."""
    folder = tmp_path / "source"
    (folder / "a b" / "empty").mkdir(parents=True)
    (folder / "a b" / 'it\'s $HOME `x` "y" \\n.txt').write_text("one\n")
    (folder / "-rf").write_text("")
    (folder / "größe").write_bytes(b"\0\1" * 40_000)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o700)
    (folder / "link").symlink_to("a b/empty")
    return folder


def deploy(machine: Machine, source: Path, *, delete: bool = False) -> Callable[[], None]:
    """Give the deploy of a tree two folders below the base."""
    base = machine.root / "host"
    base.mkdir(exist_ok=True)
    return lambda: tree(source, f"{base}/two/tree", base=str(base), user=USER, delete=delete)


def standing(machine: Machine) -> Path:
    return machine.root / "host" / "two" / "tree"


def alike(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same names and contents."""

    def content(root: Path) -> dict[str, object]:
        return {
            str(path.relative_to(root)): os.readlink(path) if path.is_symlink()
            else path.read_bytes() if path.is_file() else None
            for path in sorted(root.rglob("*"))
        }  # fmt: skip

    return content(one) == content(other)


def test_a_tree_is_copied_and_then_left_alone(machine: Machine, source: Path) -> None:
    machine.apply(deploy(machine, source))
    assert alike(source, standing(machine))
    assert oct((standing(machine) / "run").stat().st_mode)[-3:] == "755"
    assert oct((standing(machine) / "größe").stat().st_mode)[-3:] == "644"
    plan = machine.plan(deploy(machine, source))
    assert (summary(plan), plan.notices) == ([], ())


def pointing_at(name: str, target: str) -> Callable[[Path], None]:
    """Give the harm that puts a link in the place of a name."""

    def harm(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(target)

    return harm


HARMS: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("edited", lambda root: (root / "run").write_text("x"), ["~ file ROOT/run"]),
    ("removed", lambda root: (root / "-rf").unlink(), ["+ file ROOT/-rf"]),
    ("mode", lambda root: (root / "run").chmod(0o600), ["~ file ROOT/run"]),
    ("mode of a folder", lambda root: (root / "a b").chmod(0o700), ["~ folders ROOT"]),
    ("link", pointing_at("link", "x"),
     ["~ link ROOT/link"]),
    ("link for a file", pointing_at("run", "-rf"),
     ["~ file ROOT/run"]),
    ("folder removed", lambda root: (root / "a b" / "empty").rmdir(), ["~ folders ROOT"]),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "changes"), [(h, c) for _, h, c in HARMS],
                         ids=[name for name, _, _ in HARMS])  # fmt: skip
def test_what_differs_is_named_and_mended(
    machine: Machine, source: Path, harm: Callable[[Path], object], changes: list[str]
) -> None:
    machine.apply(deploy(machine, source))
    harm(standing(machine))
    told = summary(machine.plan(deploy(machine, source)))
    assert [line.replace(str(standing(machine)), "ROOT") for line in told] == changes
    machine.apply(deploy(machine, source))
    assert alike(source, standing(machine))
    assert summary(machine.plan(deploy(machine, source))) == []


def test_what_the_folder_lacks_stays_and_is_told(machine: Machine, source: Path) -> None:
    machine.apply(deploy(machine, source))
    (standing(machine) / "mine").write_text("x")
    plan = machine.plan(deploy(machine, source))
    assert summary(plan) == []
    assert [notice for notice in plan.notices if notice.endswith("stay: mine")] != []


def test_what_the_folder_lacks_goes_where_that_is_asked(machine: Machine, source: Path) -> None:
    machine.apply(deploy(machine, source, delete=True))
    (standing(machine) / "x y").mkdir()
    (standing(machine) / "x y" / "it's").write_text("x")
    assert summary(machine.plan(deploy(machine, source, delete=True))) == [
        f"- files {standing(machine)}"
    ]
    machine.apply(deploy(machine, source, delete=True))
    assert alike(source, standing(machine))


def test_what_a_killed_run_left_is_removed(machine: Machine, source: Path) -> None:
    machine.apply(deploy(machine, source))
    (standing(machine) / ".run.crosprov").write_text("half")
    assert summary(machine.plan(deploy(machine, source))) == [f"- files {standing(machine)}"]
    machine.apply(deploy(machine, source))
    assert alike(source, standing(machine))


def test_many_files_are_one_change_beyond_the_first(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(SINGLE + 30):
        (folder / f"{number:03}").write_text(str(number))
    changes = machine.apply(deploy(machine, folder))
    assert [change.resource.kind for change in changes] == ["folders", *["file"] * SINGLE, "files"]
    assert changes[-1].after["total"] == "30 files, 60 bytes"
    assert alike(folder, standing(machine))
    assert summary(machine.plan(deploy(machine, folder))) == []


def test_a_single_file_is_a_tree(machine: Machine, source: Path) -> None:
    machine.apply(deploy(machine, source / "run"))
    assert standing(machine).read_text() == "#!/bin/sh\n"
    assert summary(machine.plan(deploy(machine, source / "run"))) == []
    with pytest.raises(PlanError, match="is a file where a folder is wanted"):
        machine.plan(deploy(machine, source))


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "out").symlink_to("/etc/passwd"), "is a link to /etc/passwd"),
    (lambda folder: (folder / "out").symlink_to("../host"), "is a link to ../host"),
    (lambda folder: (folder / "out").symlink_to("nowhere"), "is a link to nowhere"),
    (lambda folder: os.mkfifo(folder / "pipe"), "is a special file"),
    (lambda folder: (folder / "a\nb").write_text(""), "has signs in its name"),
    (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text(""),
     "has signs in its name"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "words"), BAD)
def test_what_cannot_be_served_is_refused(
    source: Path, harm: Callable[[Path], object], words: str
) -> None:
    harm(source)
    with pytest.raises(PlanError) as caught:
        scan(source)
    assert words in caught.value.message


names = st.text(
    st.characters(exclude_characters="/", exclude_categories=("C", "Z")), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and name.isprintable())


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.dictionaries(names, st.binary(max_size=50), max_size=5))
def test_the_host_words_a_tree_as_this_side_does(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("t") / "t"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    folder.chmod(0o755)
    wanted = Tree(str(folder), str(folder.parent), USER, scan(folder))
    question = TreeFact().command(str(folder), wanted.digest)
    done = LocalTransport("host", sudo=False).run("sh -s", stdin=question.encode())
    assert done.stdout == b"same\n"

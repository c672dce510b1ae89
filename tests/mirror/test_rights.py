"""Folders that may not be read, or written to: a sentence and a hint, and nothing left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosprov.mirror.folder import INCOMING, Folder
from crosprov.mirror.looking import account, is_file, is_folder, owner
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.trees import packages_of, read_layout
from tests.mirror.growing import grow_ebuild, grow_tree
from tests.mirror.strangers import open_folder, stranger


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.mark.parametrize(
    ("closed", "where", "sentence"),
    [
        (".", ".", "the folder cannot be read: Permission denied"),
        ("metadata", "metadata/layout.conf", "the file cannot be read: Permission denied"),
        ("dev-libs", "dev-libs", "the folder cannot be read: Permission denied"),
        ("dev-libs/foo", "dev-libs/foo", "the package's folder cannot be read: Permission denied"),
    ],
)
def test_what_may_not_be_read_of_a_tree_is_told_and_not_left_out(
    folder: Path, closed: str, where: str, sentence: str
) -> None:
    tree = grow_tree(folder / "t", "t")
    grow_ebuild(tree, "dev-libs/foo-1")
    grow_ebuild(tree, "dev-libs/other-1")
    (tree / closed).chmod(0o000)
    with stranger(), pytest.raises(Fault) as caught:
        read_layout(tree)
        list(packages_of(tree))
    with stranger():
        name = account()
    assert str(caught.value) == f"{tree / where}: {sentence}"
    assert (
        caught.value.hint
        == f"the account {name} must be let read it, and pass the folders above it"
    )


def test_what_is_not_there_is_no_folder_and_no_file(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "loop").symlink_to("loop")
    for name in ("nothing", "file/below", "loop", "x" * 300):
        assert not is_folder(folder / name) and not is_file(folder / name)
    assert is_folder(folder) and is_file(folder / "file")
    assert owner(folder / "no" / "thing") == account()


@pytest.mark.parametrize("has_incoming", [False, True])
def test_a_folder_of_somebody_else_is_named_when_nothing_can_be_published(
    folder: Path, has_incoming: bool
) -> None:
    store, content = folder / "store", folder / "foo-1.tar"
    store.mkdir()
    content.write_bytes(b"foo")
    if has_incoming:
        (store / INCOMING).mkdir(mode=0o700)
        (store / INCOMING).chmod(0o500)
        store.chmod(0o777)
    else:
        store.chmod(0o555)
    archive = Archive("foo-1.tar", 3, {"SHA512": hashlib.sha512(b"foo").hexdigest()})
    with stranger(), pytest.raises(Fault) as caught:
        Folder(str(store)).create("foo-1.tar", content, archive)
    said = "foo-1.tar cannot be copied there" if has_incoming else "no file can be put into the"
    assert str(caught.value).startswith(f"{store}: {said}")
    assert f"; do it as {account()}" in (caught.value.hint or "")
    assert not [path for path in store.iterdir() if path.name != INCOMING]

"""Trees: what they say of themselves, their masters, their packages, and checkouts of git."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from crosprov.mirror.checkouts import bring
from crosprov.mirror.looking import account
from crosprov.mirror.model import Fault
from crosprov.mirror.trees import (
    lineage_of,
    open_tree,
    packages_of,
    read_layout,
    third_party_mirrors,
)
from tests.mirror.growing import grow_ebuild, grow_tree, write_manifest
from tests.mirror.strangers import STRANGER


def test_a_tree_says_what_it_is(tmp_path: Path) -> None:
    tree = grow_tree(tmp_path / "t", "chromiumos", masters="portage-stable eclass-overlay")
    with open(tree / "metadata/layout.conf", "a") as layout:
        layout.write(
            "manifest-hashes = BLAKE2B sha256 # both\nmanifest-required-hashes = BLAKE2B\n"
        )
    found = read_layout(tree)
    assert found.name == "chromiumos"
    assert found.masters == ("portage-stable", "eclass-overlay")
    assert found.thin and found.manifests
    assert (found.hashes, found.required) == (("BLAKE2B", "SHA256"), ("BLAKE2B",))


NAMED = [
    ({"profiles/repo_name": "one\n", "metadata/layout.conf": "repo-name = two\n"}, "two"),
    ({"profiles/x": "", "metadata/layout.conf": "repo-name = two\n"}, "two"),
    ({"profiles/x": ""}, "folder"),
    ({"metadata/layout.conf": "use-manifests = false\n"}, "folder"),
]


@pytest.mark.parametrize(("files", "name"), NAMED)
def test_a_tree_is_called_what_it_calls_itself(
    tmp_path: Path, files: dict[str, str], name: str
) -> None:
    for path, text in files.items():
        (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / path).write_text(text)
    layout = read_layout(tmp_path / "folder")
    assert layout.name == name
    assert layout.hashes == ("BLAKE2B", "SHA512") and not layout.thin
    assert layout.manifests is ("use-manifests" not in files.get("metadata/layout.conf", ""))


def test_folders_that_are_no_trees_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="there is no such folder"):
        open_tree(tmp_path / "nowhere", public=True)
    grow_tree(tmp_path / "overlays/overlay-eve", "eve")
    with pytest.raises(Fault, match="no tree of ebuilds") as caught:
        open_tree(tmp_path / "overlays", public=True)
    assert caught.value.hint is not None and "overlay-eve" in caught.value.hint
    with pytest.raises(Fault, match="no tree of ebuilds") as caught:
        open_tree(tmp_path / "overlays/overlay-eve/profiles", public=True)
    assert caught.value.hint == f"it lies in a tree, name that: {tmp_path}/overlays/overlay-eve"
    bad = grow_tree(tmp_path / "bad", "bad")
    (bad / "metadata/layout.conf").write_bytes(b"\xff")
    with pytest.raises(Fault, match="not UTF-8"):
        open_tree(bad, public=True)


def test_masters_are_found_by_their_names_and_theirs_too(tmp_path: Path) -> None:
    gentoo = grow_tree(tmp_path / "g", "gentoo")
    stable = grow_tree(tmp_path / "s", "portage-stable", masters="gentoo chromiumos")
    board = grow_tree(tmp_path / "b", "eve", masters="portage-stable chromiumos nowhere")
    chromiumos = grow_tree(tmp_path / "c", "chromiumos")
    tree = open_tree(board, public=False, masters=[stable])
    lineage = lineage_of(tree, {"gentoo": gentoo, "chromiumos": chromiumos})
    assert lineage.folders == (board, chromiumos, stable, gentoo)
    assert lineage.missing == ("nowhere",)


def test_packages_are_folders_with_ebuilds_or_a_manifest(tmp_path: Path) -> None:
    tree = grow_tree(tmp_path / "t", "t")
    grow_ebuild(tree, "dev-libs/foo-2")
    grow_ebuild(tree, "dev-libs/foo-1.2-r1")
    write_manifest(tree, "sys-apps/empty")
    for other in ("licenses/x/Manifest", ".git/x/Manifest", "dev-libs/nothing/files/a.patch"):
        (tree / other).parent.mkdir(parents=True)
        (tree / other).write_text("")
    foo, empty = packages_of(tree)
    assert (foo.key, foo.has_manifest) == ("dev-libs/foo", False)
    assert [foo.version_of(ebuild) for ebuild in foo.ebuilds] == ["1.2-r1", "2"]
    assert (empty.key, empty.ebuilds, empty.has_manifest) == ("sys-apps/empty", (), True)


def test_mirrors_of_the_tree_win_over_its_masters(tmp_path: Path) -> None:
    tree, master = grow_tree(tmp_path / "t", "t"), grow_tree(tmp_path / "m", "m")
    mirrors = "# comment\ngnu\thttps://one.example.com https://two.example.com\nempty\n"
    (master / "profiles/thirdpartymirrors").write_text(f"{mirrors}kde https://kde.example.com\n")
    (tree / "profiles/thirdpartymirrors").write_text("kde https://own.example.com\n")
    assert third_party_mirrors([tree, master]) == {
        "gnu": ("https://one.example.com", "https://two.example.com"),
        "kde": ("https://own.example.com",),
    }


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    tree = grow_tree(tmp_path / "remote", "t")
    grow_ebuild(tree, "cat/a-1")
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "one")
    return tree


def test_a_checkout_is_made_followed_and_mended(tmp_path: Path, remote: Path) -> None:
    url, folder = f"file://{remote}", tmp_path / "here"
    assert [p.key for p in packages_of(bring(url, folder))] == ["cat/a"]
    grow_ebuild(remote, "cat/b-1")
    git(remote, "add", ".")
    git(remote, "commit", "--quiet", "-m", "two")
    (folder / "cat/a/a-1.ebuild").write_text("spoiled\n")
    bring(url, folder, ref="main")
    assert [p.key for p in packages_of(folder)] == ["cat/a", "cat/b"]
    assert (folder / "cat/a/a-1.ebuild").read_text() != "spoiled\n"
    assert git(folder, "rev-list", "--count", "HEAD") == "1"
    bring(url, folder, ref=git(remote, "rev-parse", "HEAD~1"))
    assert [p.key for p in packages_of(folder)] == ["cat/a"]


def test_checkouts_that_cannot_be_made_say_why(tmp_path: Path, remote: Path) -> None:
    url = f"file://{remote}"
    with pytest.raises(Fault, match="cannot be fetched"):
        bring(url, tmp_path / "one", ref="nowhere")
    with pytest.raises(Fault, match="cannot be fetched"):
        bring(f"file://{tmp_path}/nothing", tmp_path / "two")
    bring(url, tmp_path / "three")
    with pytest.raises(Fault, match="holds a checkout of file://"):
        bring("https://example.com/other.git", tmp_path / "three")
    (tmp_path / "four").mkdir()
    (tmp_path / "four/precious").write_text("mine")
    with pytest.raises(Fault, match="in use for something else"):
        bring(url, tmp_path / "four")
    assert (tmp_path / "four/precious").read_text() == "mine"


def test_a_repository_of_another_account_is_told_with_what_helps(
    tmp_path: Path, remote: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another account")
    for path in (remote, *remote.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    with pytest.raises(Fault, match="dubious ownership") as caught:
        bring(f"file://{remote}", tmp_path / "one")
    assert f"chown -R {account()} {tmp_path}/" in (caught.value.hint or "")


def test_a_checkout_that_was_killed_anywhere_is_mended(tmp_path: Path, remote: Path) -> None:
    url, folder = f"file://{remote}", tmp_path / "here"
    (folder / ".git").mkdir(parents=True)
    assert [p.key for p in packages_of(bring(url, folder))] == ["cat/a"]
    git(folder, "config", "--unset", "remote.origin.url")
    for left in ("index.lock", "shallow.lock", "config.lock", "HEAD.lock"):
        (folder / ".git" / left).touch()
    assert [p.key for p in packages_of(bring(url, folder, ref="main"))] == ["cat/a"]


def test_two_do_not_bring_one_tree_at_once(tmp_path: Path, remote: Path) -> None:
    folder = bring(f"file://{remote}", tmp_path / "here")
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        with pytest.raises(Fault, match="another sync brings this tree"):
            bring(f"file://{remote}", folder)
        waiting = threading.Thread(
            target=lambda: bring(f"file://{remote}", folder, ref="main", wait=True)
        )
        waiting.start()
    finally:
        os.close(number)
    waiting.join(30)
    assert not waiting.is_alive()
    assert bring(f"file://{remote}", folder) == folder


def test_git_s_reason_is_told_and_not_its_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "echo 'Host key verification failed.' >&2; false")
    with pytest.raises(Fault, match=r"fetched: Host key verification failed\.; fatal: Could not"):
        bring("ssh://git.example.com/tree", tmp_path / "one")


EVIL = ["ext::sh -c true", "--upload-pack=true", "fd::17", "https://example.com/a b", ""]


@pytest.mark.parametrize("url", EVIL)
def test_an_address_that_would_run_something_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Fault, match="no address of a git repository"):
        bring(url, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("ref", ["--upload-pack=true", "a..b", "a b", "", "+x:y"])
def test_a_ref_that_is_none_is_refused(tmp_path: Path, ref: str) -> None:
    with pytest.raises(Fault, match="no name of a branch"):
        bring("https://example.com/x.git", tmp_path / "x", ref=ref)

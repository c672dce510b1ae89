"""Trees of ebuilds: what they are called, whom they follow, and the packages that they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.looking import is_file, is_folder, unreadable
from crosprov.mirror.model import Fault, Tree

# Folders at the top of a tree that PMS, or the trees that are in use, keep for other things.
_NO_CATEGORY = frozenset(
    "profiles metadata eclass licenses scripts header distfiles packages".split()
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*", re.ASCII)
_DEFAULT_HASHES = ("BLAKE2B", "SHA512")  # what Portage writes when layout.conf names none


@dataclass(frozen=True, slots=True)
class Layout:
    """Hold what a tree says of itself in `profiles/repo_name` and `metadata/layout.conf`.

    `masters` are names; `hashes` is what its Manifests are to be written with, `required` what
    each entry must have. `manifests` is false for a tree that declares to have none.
    """

    name: str
    masters: tuple[str, ...]
    thin: bool
    hashes: tuple[str, ...]
    required: tuple[str, ...]
    manifests: bool = True


@dataclass(frozen=True, slots=True)
class Package:
    """Name a package of a tree: its folder, below the tree, and its ebuilds in order."""

    category: str
    name: str
    ebuilds: tuple[str, ...]
    has_manifest: bool

    @property
    def key(self) -> str:
        """Name it as `category/name`."""
        return f"{self.category}/{self.name}"

    def version_of(self, ebuild: str) -> str:
        """Cut the version, with its revision, out of an ebuild's file name."""
        return ebuild[len(self.name) + 1 : -len(".ebuild")]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Join a tree with its masters: the tree itself first, then those that it follows.

    `missing` names the masters of which no folder is known.
    """

    tree: Tree
    layout: Layout
    folders: tuple[Path, ...]
    missing: tuple[str, ...]


def open_tree(
    path: Path, *, public: bool, name: str | None = None, masters: Sequence[Path] = ()
) -> Tree:
    """Name a tree after what it says of itself; raises Fault when the folder is none."""
    return Tree(name or read_layout(path).name, path, public, tuple(masters))


def read_layout(path: Path) -> Layout:
    """Read what a tree says of itself; raises Fault when the folder is no tree of ebuilds."""
    _check_is_tree(path)
    keys = _read_keys(path / "metadata" / "layout.conf")
    named = _read_text(path / "profiles" / "repo_name").split()
    # Two copies of a tree can be told apart by layout.conf (portage(5)), and ChromiumOS's are.
    name = keys.get("repo-name", "") or (named[0] if named else path.resolve().name)
    return Layout(
        name=name,
        masters=tuple(keys.get("masters", "").split()),
        thin=keys.get("thin-manifests", "").lower() == "true",
        hashes=_algorithms(keys.get("manifest-hashes", "")) or _DEFAULT_HASHES,
        required=_algorithms(keys.get("manifest-required-hashes", "")),
        manifests=keys.get("use-manifests", "").lower() != "false",
    )


def lineage_of(tree: Tree, known: Mapping[str, Path]) -> Lineage:
    """Find the folders of a tree's masters, and of theirs, by name; raises Fault.

    Names are looked up in the masters that the tree itself lists, then in `known`.
    """
    layout = read_layout(tree.path)
    folders, missing = [tree.path], []
    given = {read_layout(folder).name: folder for folder in tree.masters}
    waiting = [*reversed(layout.masters)]
    seen: set[str] = {layout.name}
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        folder = given.get(name) or known.get(name)
        if folder is None:
            missing.append(name)
            continue
        folders.append(folder)
        waiting.extend(reversed(read_layout(folder).masters))
    folders.extend(folder for folder in given.values() if folder not in folders)
    return Lineage(tree, layout, tuple(folders), tuple(missing))


def packages_of(path: Path, looked: list[str] | None = None) -> Iterator[Package]:
    """List the packages of a tree in order: folders with ebuilds or a Manifest.

    Categories are found by looking, not in `profiles/categories`: what masters would add to
    that list is not always at hand, and a package left out would be a file never mirrored.
    For that reason one that may not be read raises Fault, too.
    Each path on which the list depends, and the files of the packages, are added to `looked`.
    """
    looked = [] if looked is None else looked
    for category in _folders(str(path), looked):
        if category in _NO_CATEGORY or not _FOLDER.fullmatch(category):
            continue
        for name in _folders(f"{path}/{category}", looked):
            package = _package(f"{path}/{category}/{name}", category, name, looked)
            if package is not None:
                yield package


def third_party_mirrors(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Read the addresses behind each `mirror://` name; a tree's own win over its masters'."""
    mirrors: dict[str, tuple[str, ...]] = {}
    for folder in reversed(folders):
        for line in _read_text(folder / "profiles" / "thirdpartymirrors").splitlines():
            words = (
                line.partition("#")[0].split() if line.lstrip().startswith("#") else line.split()
            )
            if len(words) > 1:
                mirrors[words[0]] = tuple(words[1:])
    return mirrors


def _package(folder: str, category: str, name: str, looked: list[str]) -> Package | None:
    looked.append(folder)
    try:
        files = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):  # it went away meanwhile
        return None
    except OSError as error:
        raise unreadable("the package's folder", folder, error) from None
    start = f"{name}-"
    ebuilds = [f for f in files if f.endswith(".ebuild") and f.startswith(start)]
    has_manifest = "Manifest" in files
    if not ebuilds and not has_manifest:
        return None
    looked.extend([f"{folder}/{ebuild}" for ebuild in ebuilds])
    if has_manifest:
        looked.append(f"{folder}/Manifest")
    return Package(category, name, tuple(sorted(ebuilds)), has_manifest)


def _folders(path: str, looked: list[str]) -> list[str]:
    looked.append(path)
    names = []
    try:
        with os.scandir(path) as found:
            for entry in found:
                if entry.name[0] == ".":
                    continue
                if entry.is_dir():
                    names.append(entry.name)
                elif entry.is_symlink():  # what it leads to may become a folder
                    looked.append(entry.path)
    except OSError as error:
        raise unreadable("the folder", path, error) from None
    return sorted(names)


def _check_is_tree(path: Path) -> None:
    if not is_folder(path):
        raise Fault("there is no such folder", hint="check the tree's path", where=str(path))
    if is_folder(path / "profiles") or is_file(path / "metadata" / "layout.conf"):
        return
    inner = sorted(folder.parent.name for folder in path.glob("*/profiles") if folder.is_dir())
    outer = next((one for one in path.resolve().parents if is_folder(one / "profiles")), None)
    hint = f"it lies in a tree, name that: {outer}" if outer else None
    raise Fault(
        "this folder is no tree of ebuilds: it has neither profiles nor metadata/layout.conf",
        hint=f"it holds trees, name them one by one: {', '.join(inner[:5])}" if inner else hint,
        where=str(path),
    )


def _read_keys(path: Path) -> dict[str, str]:
    """Read lines of `key = value`; `#` begins a comment."""
    keys: dict[str, str] = {}
    for line in _read_text(path).splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            keys[key.strip()] = value.strip()
    return keys


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise Fault("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise unreadable("the file", path, error) from None


def _algorithms(value: str) -> tuple[str, ...]:
    return tuple(word.upper() for word in value.split())

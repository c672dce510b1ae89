"""Small trees of ebuilds for tests: written as people see them, with a true cache when wanted."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

BLAKE2B, SHA512 = "b" * 128, "5" * 128


def dist(name: str, size: int = 10, hashes: str = f"BLAKE2B {BLAKE2B} SHA512 {SHA512}") -> str:
    """Write an entry of a Manifest."""
    return f"DIST {name} {size} {hashes}\n"


def grow_tree(
    path: Path, name: str, *, masters: str = "", eclasses: Mapping[str, str] = {}
) -> Path:
    """Make a tree that holds nothing yet but its eclasses."""
    (path / "profiles").mkdir(parents=True)
    (path / "profiles" / "repo_name").write_text(f"{name}\n")
    (path / "metadata" / "md5-cache").mkdir(parents=True)
    layout = f"masters = {masters}\nthin-manifests = true\ncache-formats = md5-dict\n"
    (path / "metadata" / "layout.conf").write_text(layout)
    (path / "eclass").mkdir()
    for eclass, text in (eclasses or {}).items():
        (path / "eclass" / f"{eclass}.eclass").write_text(text)
    return path


def grow_ebuild(
    tree: Path,
    name: str,
    *,
    src_uri: str = "",
    restrict: str = "",
    eapi: str = "8",
    inherit: tuple[str, ...] = (),
    cached: bool = True,
) -> Path:
    """Add an ebuild, named `category/package-version`, with its entry in the cache when wanted."""
    category, stem = name.split("/")
    package = stem[: stem.rindex("-", 0, stem.rindex("-") if "-r" in stem else None)]
    folder = tree / category / package
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"EAPI={eapi}"]
    lines += [f"inherit {' '.join(inherit)}"] if inherit else []
    lines += ['DESCRIPTION="x"', 'SLOT="0"', f'SRC_URI="{src_uri}"', f'RESTRICT="{restrict}"']
    ebuild = folder / f"{stem}.ebuild"
    ebuild.write_text("\n".join(lines) + "\n")
    if cached:
        keep(tree, category, ebuild, src_uri, restrict, eapi, inherit)
    return ebuild


def keep(
    tree: Path,
    category: str,
    ebuild: Path,
    src_uri: str,
    restrict: str,
    eapi: str,
    inherit: tuple[str, ...],
) -> None:
    """Write an ebuild's entry of the cache, true as of now."""
    digests = [(i, _md5(tree / "eclass" / f"{i}.eclass")) for i in inherit]
    keys = {
        "DEFINED_PHASES": "-",
        "EAPI": eapi,
        "SRC_URI": src_uri,
        "RESTRICT": restrict,
        "_eclasses_": "\t".join(f"{name}\t{digest}" for name, digest in digests),
        "_md5_": _md5(ebuild),
    }
    entry = tree / "metadata" / "md5-cache" / category / ebuild.stem
    entry.parent.mkdir(exist_ok=True)
    entry.write_text("".join(f"{key}={value}\n" for key, value in keys.items() if value))


def write_manifest(tree: Path, package: str, *entries: str) -> Path:
    """Write a package's Manifest."""
    path = tree / package / "Manifest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(entries))
    return path


def pass_a_tick(folder: Path) -> None:
    """Wait until the file system gives another time than it gave to anything before."""
    probe = folder / "tick"
    probe.write_bytes(b"")
    before, deadline = probe.stat().st_ctime_ns, time.monotonic() + 10
    while probe.stat().st_ctime_ns == before:
        assert time.monotonic() < deadline, "the file system's clock stands still"
        os.utime(probe)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

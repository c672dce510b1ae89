"""Measure how long it takes to find what a mirror needs, beside pkgcore's reading of Manifests.

    python -m bench.needs                    a generated tree of 55,000 entries
    python -m bench.needs --tree FOLDER      a tree of one's own

Each measurement is a process of its own, several times; the median of the seconds of CPU (and
of the clock, which other programs of the machine disturb) is printed, with the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b, md5, sha512
from pathlib import Path
from statistics import median

PACKAGES = 2_000
TIMES = 5


def grow(folder: Path, entries: int) -> None:
    """Write a tree as large community overlays are: few packages name most of the files.

    A third of the files are new to each package that names them, the others are shared, as
    modules of Go and crates are.
    """
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles/repo_name").write_text("generated\n")
    (folder / "metadata").mkdir()
    (folder / "metadata/layout.conf").write_text("masters =\nthin-manifests = true\n")
    shared = [f"github.com%2Fone%2Fmodule%2F@v%2Fv{number}.mod" for number in range(entries // 10)]
    heavy = PACKAGES // 10
    share = entries // 2 // heavy
    left = entries
    for number in range(PACKAGES):
        many = share if number < heavy else max(1, left // (PACKAGES - number))
        names = [f"package{number}-{i}.tar.gz" for i in range(many // 3 + 1)]
        names += [shared[(number * 37 + i) % len(shared)] for i in range(many - len(names))]
        _package(folder, number, names)
        left -= len(names)


def _package(folder: Path, number: int, names: list[str]) -> None:
    category, name = f"cat-{number % 40}", f"package{number}"
    home = folder / category / name
    home.mkdir(parents=True)
    (home / "Manifest").write_text("".join(map(_entry, sorted(names))))
    uris = " ".join(f"https://example.com/{number}/{i} -> {n}" for i, n in enumerate(names))
    for version in ("1.0", "1.1"):
        ebuild = home / f"{name}-{version}.ebuild"
        ebuild.write_text(f'EAPI=8\n# {version}\nSLOT="0"\nSRC_URI="{uris}"\n')
        digest = md5(ebuild.read_bytes(), usedforsecurity=False).hexdigest()
        entry = folder / "metadata/md5-cache" / category / ebuild.stem
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text(f"DEFINED_PHASES=-\nEAPI=8\nSRC_URI={uris}\nSLOT=0\n_md5_={digest}\n")


def _entry(name: str) -> str:
    content = name.encode()
    hashes = f"BLAKE2B {blake2b(content).hexdigest()} SHA512 {sha512(content).hexdigest()}"
    return f"DIST {name} {len(content)} {hashes}\n"


def read_with_pkgcore(folder: Path) -> int:
    """Parse the tree's Manifests with pkgcore, alone."""
    from pkgcore.ebuild.digest import parse_manifest

    paths = sorted(str(path) for path in folder.glob("*/*/Manifest"))
    return _timed(lambda: sum(len(parse_manifest(path)[0]) for path in paths))


def find_needs(folder: Path) -> int:
    """Find what a mirror of the tree needs."""
    from crosprov.mirror.needs import needs_of
    from crosprov.mirror.trees import open_tree

    tree = open_tree(folder, public=True)
    return _timed(lambda: len(needs_of([tree], source_stale=False).archives))


def _timed(work: Callable[[], int]) -> int:
    wall, cpu = time.perf_counter(), time.process_time()
    count = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"count": count, "wall": wall, "cpu": cpu, "peak": peak}))
    return 0


WORKS = {"pkgcore": read_with_pkgcore, "needs": find_needs}


def main() -> int:
    """Grow the tree, measure both, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--tree", type=Path, help="measure this tree")
    parser.add_argument("--entries", type=int, default=55_000)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        return WORKS[asked.work](asked.tree)
    with tempfile.TemporaryDirectory(prefix="crosprov-bench-") as home:
        tree = asked.tree
        if tree is None:
            tree = Path(home, "tree")
            grow(tree, asked.entries)
        measured = {work: _measure(work, tree, asked.times) for work in WORKS}
    for work, found in measured.items():
        print(
            f"{work:8} {found['count']:8.0f} files {found['cpu']:7.3f} s of CPU "
            f"{found['wall']:7.3f} s {found['peak']:5.0f} MB at most"
        )
    print(f"needs / pkgcore: {measured['needs']['cpu'] / measured['pkgcore']['cpu']:.2f}")
    return 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description as they are."""


def _measure(work: str, tree: Path, times: int) -> dict[str, float]:
    """Run a work several times, each in a process of its own, and take the medians."""
    command = [sys.executable, "-m", "bench.needs", "--work", work, "--tree", str(tree)]
    found = []
    for _ in range(times + 1):  # the first one warms the caches of the file system
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=os.environ
        )
        found.append(json.loads(done.stdout))
    return {key: median(one[key] for one in found[1:]) for key in found[0]}


if __name__ == "__main__":
    sys.exit(main())

"""Measure a sync with nothing to do, beside pkgcore's reading of the same Manifests.

    python -m bench.needs                    a generated tree of 55,000 entries, and its mirror
    python -m bench.needs --tree FOLDER      what a tree of one's own needs, without a mirror

Each measurement is a process of its own, in turns and several times; a work is done once to warm
up, and what it takes then counts: the median of the seconds of CPU and of the clock (which other
programs of the machine disturb), with the peak of memory. `program` is the whole command, from
the start of Python to its end. Of `sourced` the clock counts: pkgcore's shells are ended from
outside, and what CPU they took is not known.

| work | what is done |
| --- | --- |
| pkgcore | each Manifest is parsed, alone |
| needs | the trees are read, and what they need is joined |
| idle | a whole sync with nothing to do: trees, listing, ledger, comparison, report |
| changed | the same after a package was touched, so that trees and ledger are read |
| program | `crosprov mirror sync` with nothing to do |
| sourced | a tree of 300 ebuilds without cached metadata is read for the first time |
| known | the same tree is read again, as if something else of it had changed |
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
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.overlay import fill, grow, grow_bare

TIMES = 5
PATIENCE = 120.0  # seconds until a sync has to have found nothing to do
NAMES = ("tree", "store", "state", "mirror.json")
BARE = 300  # ebuilds without cached metadata


def read_with_pkgcore(home: Path) -> int:
    """Parse the tree's Manifests with pkgcore, alone."""
    from pkgcore.ebuild.digest import parse_manifest

    paths = sorted(str(path) for path in (home / "tree").glob("*/*/Manifest"))
    return _timed(lambda: sum(len(parse_manifest(path)[0]) for path in paths))


def find_needs(home: Path) -> int:
    """Find what a mirror of the tree needs."""
    from crosprov.mirror.needs import needs_of
    from crosprov.mirror.trees import open_tree

    tree = open_tree(home / "tree", public=True)
    return _timed(lambda: len(needs_of([tree], source_stale=False).archives))


def sync_idle(home: Path) -> int:
    """Sync a mirror that has everything, and of which that is known."""
    return _timed(_syncing(home))


def sync_changed(home: Path) -> int:
    """Sync a mirror that has everything, after something of the tree was written again."""
    sync, manifest = _syncing(home), next((home / "tree").glob("*/*/Manifest"))
    return _timed(sync, before=manifest.touch)


def _syncing(home: Path) -> Callable[[], int]:
    """Give a whole sync, as the program does it, that has to find nothing to do."""
    from crosprov.mirror.needs import needs_of
    from crosprov.mirror.stores import open_store
    from crosprov.mirror.sync import sync
    from crosprov.mirror.sync_options import Options
    from crosprov.mirror.tree_memory import TreeMemory
    from crosprov.mirror.trees import open_tree

    tree, store, state = (home / name for name in NAMES[:3])

    def work() -> int:
        trees = [open_tree(tree, public=True)]
        needs = needs_of(trees, source_stale=False, memory=TreeMemory(state))
        report = sync(needs, open_store(str(store)), (), Options(state=state))
        if not report.is_good:
            raise SystemExit(f"the mirror is not as it should be: {report.failures[:1]}")
        return report.present

    return work


def read_sourcing(home: Path) -> int:
    """Find what a tree needs whose ebuilds have to be sourced."""
    (home / "bare-state/sourced.json").unlink(missing_ok=True)
    return _timed(_reading_bare(home), warm=False)


def read_sourced(home: Path) -> int:
    """Find what a tree needs whose ebuilds were sourced earlier."""
    return _timed(_reading_bare(home))


def _reading_bare(home: Path) -> Callable[[], int]:
    from crosprov.mirror.needs import needs_of
    from crosprov.mirror.sourced_memory import SourcedMemory
    from crosprov.mirror.trees import open_tree

    tree, state = open_tree(home / "bare", public=True), home / "bare-state"
    return lambda: len(needs_of([tree], sourced=SourcedMemory(state)).archives)


def prepare(home: Path) -> int:
    """Sync until that is known to find nothing to do: what is new is not remembered at once."""
    from crosprov.mirror.idle import FILE

    sync, end = _syncing(home), time.monotonic() + PATIENCE
    known = home / "state" / FILE
    known.unlink(missing_ok=True)
    while not known.exists():
        if time.monotonic() > end:
            raise SystemExit(f"no sync found nothing to do within {PATIENCE:g} s")
        sync()
        time.sleep(0.5)
    return 0


def _timed(
    work: Callable[[], int], before: Callable[[], object] = lambda: None, *, warm: bool = True
) -> int:
    if warm:
        work()
    before()
    wall, cpu = time.perf_counter(), _cpu()
    count = work()
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    _tell(count, wall, cpu, resource.RUSAGE_SELF)
    return 0


def _cpu() -> float:
    """Give the seconds of CPU that this process and its children that ended have taken."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run_program(home: Path) -> int:
    """Run the command as a timer does, in a process that is measured as a whole."""
    command = [sys.executable, "-m", "crosprov.mirror", "sync", "--no-sourcing"]
    before = time.perf_counter()
    done = subprocess.run(
        [*command, "--format", "json", "--config", home / "mirror.json"],
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    wall = time.perf_counter() - before
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = json.loads(done.stdout)["present"]
    _tell(count, wall, used.ru_utime + used.ru_stime, resource.RUSAGE_CHILDREN)
    return 0


def _tell(count: int, wall: float, cpu: float, who: int) -> None:
    peak = resource.getrusage(who).ru_maxrss // 1024
    print(json.dumps({"count": count, "wall": wall, "cpu": cpu, "peak": peak}))


ALONE = {"pkgcore": read_with_pkgcore, "needs": find_needs}
WITH_MIRROR = {"idle": sync_idle, "program": run_program, "changed": sync_changed}
WITHOUT_CACHE = {"sourced": read_sourcing, "known": read_sourced}
WORKS = {**ALONE, **WITH_MIRROR, **WITHOUT_CACHE, "prepare": prepare}


def main() -> int:
    """Grow the tree and its mirror, measure all works, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--tree", type=Path, help="measure this tree, and no sync")
    parser.add_argument("--entries", type=int, default=55_000)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        return WORKS[asked.work](asked.home)
    with tempfile.TemporaryDirectory(prefix="crosprov-bench-") as folder:
        home = Path(folder)
        if asked.tree is None:
            _settle(home, asked.entries)
        else:
            (home / "tree").symlink_to(asked.tree.resolve())
        works = [*ALONE] if asked.tree else [*ALONE, *WITH_MIRROR, *WITHOUT_CACHE]
        _print(_measured(works, home, asked.times))
    return 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description as they are."""


def _settle(home: Path, entries: int) -> None:
    """Make trees, mirror and configuration."""
    tree, store, state, config = (home / name for name in NAMES)
    grow(tree, entries)
    fill(store, tree)
    state.mkdir()
    grow_bare(home / "bare", BARE)
    (home / "bare-state").mkdir()
    told = {"name": "bench", "store": str(store), "kind": "automatic", "source_uris": True}
    config.write_text(json.dumps({**told, "state": str(state), "trees": [{"path": str(tree)}]}))


def _measured(works: Sequence[str], home: Path, times: int) -> dict[str, dict[str, float]]:
    """Do all works in turns, each in a process of its own, and take the medians."""
    found: dict[str, list[dict[str, float]]] = {work: [] for work in works}
    for number in range(times + 1):  # the first round warms the caches of the file system
        for work in works:
            if work == "idle":
                _do("prepare", home)
            measured = json.loads(_do(work, home))
            if number:
                found[work].append(measured)
    return {
        work: {key: median(one[key] for one in all_of) for key in all_of[0]}
        for work, all_of in found.items()
    }


def _do(work: str, home: Path) -> str:
    command = [sys.executable, "-m", "bench.needs", "--work", work, "--home", str(home)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, env=os.environ
    )
    return done.stdout.decode()


def _print(measured: dict[str, dict[str, float]]) -> None:
    least = measured["pkgcore"]
    for work, found in measured.items():
        print(
            f"{work:8} {found['count']:6.0f} files {found['cpu']:7.3f} s of CPU, "
            f"{found['wall']:6.3f} s of the clock, {found['peak']:4.0f} MB at most: "
            f"{found['cpu'] / least['cpu']:5.2f} and {found['wall'] / least['wall']:5.2f} "
            "times pkgcore"
        )


if __name__ == "__main__":
    sys.exit(main())

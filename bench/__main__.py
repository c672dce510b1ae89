"""Measure crosprov beside Ansible, the pyinfra command and the floor.

Boots light hosts of the virtual lab on this machine, which needs root. Takes about fifteen
minutes for 20 hosts, most of it Ansible's.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import contenders, machine, table
from bench.course import Course
from bench.lab import BenchLab
from bench.measure import BenchError, Command
from crosprov.errors import CrosprovError

_PROJECT = Path(__file__).parent.parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crosprov-bench"


def main() -> int:
    """Run the benchmark, print the table; return 0, or 1 when it could not be finished."""
    options = _options()
    lab = BenchLab.of(options.hosts, options.cache)
    try:
        text = _measure(lab, options.cache, options.runs)
        print(text, end="")
        if options.write:
            table.put_into(_PROJECT / "docs/benchmarks.md", text)
    except (BenchError, CrosprovError) as error:
        _say(f"bench: {error}")
        return 1
    finally:
        if not options.keep:
            lab.down()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hosts", type=int, default=20, metavar="N", help="hosts to boot (20)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each kind (5)")
    parser.add_argument("--cache", type=Path, default=_CACHE, metavar="DIR",
                        help=f"environments, root file system, logs ({_CACHE})")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up afterwards")
    options = parser.parse_args()
    if options.hosts < 1 or options.runs < 1:
        parser.error("--hosts and --runs count from 1")
    return options


def _measure(lab: BenchLab, cache: Path, runs: int) -> str:
    work = cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    before = machine.load()
    lab.up(_say)
    chosen = contenders.all_of(lab, work, cache)
    argv = (sys.executable, str(Path(__file__).with_name("floor.py")), str(work / "floor.json"))
    course = Course(lab, chosen, Command(argv, work, {}), work, runs, _say)
    try:
        rows = course()
        goals = table.goals(rows, course.round_trips, course.memory_per_host())
    finally:
        for contender in chosen:
            contender.end()
    about = f"{machine.describe(chosen)}\nLoad before the first run: {before:.2f}."
    return table.markdown(rows, goals, about, len(lab.names))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

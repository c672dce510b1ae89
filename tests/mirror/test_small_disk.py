"""Real file systems that fill up: what is published stays whole, and the next sync goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.mirror.syncing import World, content, world

__all__ = ["world"]

COUNT, SIZE = 12, 100_000
_PROGRAM = """
import json, os, subprocess, sys
from dataclasses import replace
from pathlib import Path
from tests.mirror.syncing import QUICK, archive_of, content, need_of, needs_of
from crosprov.mirror.folder import Folder
from crosprov.mirror.model import Fault
from crosprov.mirror.report_json import as_json, last_report
from crosprov.mirror.sync_options import Options
from crosprov.mirror.sync import sync

root, upstream, count, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
small = json.loads(sys.argv[5])
mirror, state = root / "mirror", root / "state"
files = {f"foo-{n}.tar": content(size, n) for n in range(count)}
needs = needs_of(*(need_of(archive_of(name, data)) for name, data in files.items()))

def mount(folder, *options):
    words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", folder]
    subprocess.run(words, check=True)

def run():
    options = Options(state=state, workers=4, patience=QUICK, hashed=True)
    try:
        report = sync(needs, Folder(str(mirror)), [upstream], options)
        told = as_json(report)
    except Fault as fault:
        told = {"fault": str(fault)}
    seen = {path.name: path.read_bytes() for path in mirror.glob("foo-*")}
    told["whole"] = sum(files[name] == data for name, data in seen.items())
    told["seen"] = len(seen)
    told["kept"] = (last_report(state) or {}).get("ended") == told.get("ended")
    told["layout"] = (mirror / "layout.conf").exists()
    return told

for folder, kilobytes in small.items():
    (root / folder).mkdir()
    mount(root / folder, f"size={kilobytes}k")
first = run()
for folder in small:
    mount(root / folder, "remount", "size=64m")
print(json.dumps([first, run()]))
"""


@cache
def _apart() -> tuple[str, ...]:
    """Give the words that run a program with mounts of its own, none where that is not allowed."""
    roots = ("--map-root-user",) if os.geteuid() else ()
    words = ("unshare", "--mount", *roots)
    mount = "mount -t tmpfs none /mnt"
    try:
        done = subprocess.run([*words, "sh", "-c", mount], capture_output=True, timeout=20)
    except FileNotFoundError:
        return ()
    return () if done.returncode else words


def _synced(world: World, small: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sync onto small file systems, and again when they are larger; give what became of it."""
    if not _apart():
        pytest.skip("mounts a small file system")
    for number in range(COUNT):
        world.offer(f"foo-{number}.tar", content(SIZE, number))
    given = (str(world.path), world.upstream(), str(COUNT), str(SIZE), json.dumps(small))
    command = [*_apart(), sys.executable, "-c", _PROGRAM, *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    return first, second


def _is_finished(second: dict[str, Any]) -> bool:
    """Tell whether the sync after that did the rest, and has all."""
    done = second["present"] + second["fetched"]
    return second["good"] and (second["whole"], done, second["layout"]) == (COUNT, COUNT, True)


@pytest.mark.parametrize("small", [{"mirror": 700}, {"mirror": 700, "state": 64}], ids=str)
def test_a_mirror_that_fills_up(world: World, small: dict[str, int]) -> None:
    first, second = _synced(world, small)
    assert first["whole"] == first["seen"] == first["fetched"]
    assert 3 <= first["fetched"] <= 6, "as many as there is room for"
    assert "there is no space left for foo-" in first["stopped"]
    failed = [one["kind"] for one in first["failures"]]
    assert failed and set(failed) == {"store"}
    assert first["fetched"] + len(failed) + first["untried"] == COUNT
    assert first["kept"] and not first["layout"]
    assert _is_finished(second) and second["checked"] == 0, "the ledger was kept"


def test_a_state_without_any_room_stops_the_sync_before_it_begins(world: World) -> None:
    first, second = _synced(world, {"state": 4})
    assert "ledger.sqlite: the ledger cannot be used" in first["fault"] and first["seen"] == 0
    assert _is_finished(second)


@pytest.mark.parametrize("small", [{"state": 20}, {"mirror": 700, "state": 16}], ids=str)
def test_a_state_that_fills_up_costs_a_reading(world: World, small: dict[str, int]) -> None:
    first, second = _synced(world, small)
    assert first["whole"] == first["seen"] == first["fetched"] > 0
    assert "the ledger cannot be used: database or disk is full" in first["remarks"][-1] or (
        first["remarks"][-1].startswith("the report could not be kept")
    )
    assert _is_finished(second) and second["checked"] == first["fetched"]

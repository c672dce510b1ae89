"""A control group for each twin, so that all its processes can be found and ended.

Two systemds in one group would take each other's services for their own. Where systemd
runs this machine, nspawn asks it for a group itself, and none of this is used.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_HOME = "crosprov-twin"


def is_managed() -> bool:
    """Tell whether systemd runs this machine and hands out control groups itself."""
    return Path("/run/systemd/system").is_dir()


def create(machine: str) -> list[Path]:
    """Make the twin's group in every hierarchy; return the files that a process joins by."""
    joins = []
    for hierarchy in _hierarchies():
        group = hierarchy / _HOME / machine
        group.mkdir(parents=True, exist_ok=True)
        if (hierarchy / "cpuset.cpus").exists():
            _inherit_cpus(hierarchy, group)
        joins.append(group / "cgroup.procs")
    return joins


def names() -> set[str]:
    """Return the names of all groups made here."""
    return {
        path.name
        for hierarchy in _hierarchies()
        for path in (hierarchy / _HOME).glob("*")
        if path.is_dir()
    }


def kill(machine: str) -> None:
    """Kill every process of a twin's groups."""
    for group in _groups(machine):
        for path in [group, *_below(group)]:
            for pid in _pids(path):
                if pid:
                    _kill(pid)


def remove(machine: str) -> bool:
    """Remove a twin's groups; False when a process that is ending still holds one."""
    gone = True
    for group in _groups(machine):
        for path in [*_below(group), group]:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
    for hierarchy in _hierarchies():
        try:
            (hierarchy / _HOME).rmdir()
        except OSError:  # other twins are in it, or it is not there
            continue
    return gone


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.procs").exists():
        yield _ROOT
        return
    for path in sorted(_ROOT.glob("*")):
        if not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path


def _groups(machine: str) -> list[Path]:
    found = [hierarchy / _HOME / machine for hierarchy in _hierarchies()]
    return [group for group in found if group.is_dir()]


def _below(group: Path) -> list[Path]:
    """Return the groups inside, the deepest first."""
    found = [Path(where) / name for where, below, _ in os.walk(group) for name in below]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _inherit_cpus(hierarchy: Path, group: Path) -> None:
    # A new group of the version 1 cpuset controller is empty and takes no process.
    for part in ("cpuset.cpus", "cpuset.mems"):
        value = (hierarchy / part).read_text()
        for path in (group.parent, group):
            if not (path / part).read_text().strip():
                (path / part).write_text(value)


def _pids(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return

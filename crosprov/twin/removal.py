"""Remove all that a lab made on this machine, from its names and its directory alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin import cgroups, network, process, registry
from crosprov.twin.archives import share
from crosprov.twin.container import forget
from crosprov.twin.names import Names

_PATIENCE = 10.0


def remains(names: Names, state_dir: Path) -> bool:
    """Tell whether anything of a lab is on this machine."""
    return (
        state_dir.exists()
        or any(claim.id == names.id for claim in registry.claims())
        or any(map(names.owns, cgroups.names()))
        or network.remains(names)
    )


def remove(names: Names, state_dir: Path, archives: Path) -> int:
    """End and remove a lab; return how many twins it had.

    Packages that the twins downloaded are kept in `archives`, when that exists. Raises
    TwinError when a process does not end or a program of the network fails.
    """
    homes = sorted((state_dir / "hosts").glob("*"))
    for home in homes:
        process.kill(home / "process")
    machines = set(filter(names.owns, cgroups.names()))
    remove_groups(machines)
    for home in homes:
        share(home / "archives", archives)
    network.remove(names)
    for machine in machines | {names.machine(number + 1) for number in range(len(homes))}:
        forget(machine)
    registry.release(names)
    shutil.rmtree(state_dir)
    return len(homes)


def remove_groups(machines: Iterable[str]) -> None:
    """Remove control groups with all processes in them, which need a moment to leave.

    Raises TwinError when they do not.
    """
    deadline = time.monotonic() + _PATIENCE
    for machine in machines:
        cgroups.kill(machine)
        while not cgroups.remove(machine):
            if time.monotonic() > deadline:
                raise TwinError(f"processes of twin {machine} do not end")
            time.sleep(0.02)
            cgroups.kill(machine)

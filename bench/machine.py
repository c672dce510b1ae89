"""The machine that the figures were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from bench.contenders import Contender


def describe(contenders: Iterable[Contender]) -> str:
    """Say in two lines what ran where."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    programs = [f"{c.name} {c.version}" for c in contenders]
    programs += [f"paramiko {version('paramiko')}", f"Python {platform.python_version()}"]
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GB, Linux {platform.release()}, {system}.\n"
        f"{', '.join(programs)}."
    )


def load() -> float:
    """Return how many processes waited for a core in the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()

"""Look for everything that a lab may have on this machine, by other means than the lab's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from crosprov.twin.names import Names


def traces(state_dir: Path) -> dict[str, list[str]]:
    """Return what is there of a lab, by kind; other labs may be up at the same time."""
    mark = f"ct{Names.of(state_dir).id}"
    rules = _lines("iptables-save") + _lines("ip", "rule")
    found = {
        "links": [line for line in _lines("ip", "-o", "link") if mark in line],
        "namespaces": [path.name for path in Path("/run/netns").glob(f"{mark}*")],
        "rules": [line for line in rules if mark in line or f"twin-{mark[2:]}" in line],
        "groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{mark}*")],
        "processes": _processes(str(state_dir)),
        "mounts": [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if mark in line or str(state_dir) in line
        ],
        "claims": [str(path) for path in Path("/run/crosprov-twin").glob(f"{mark[2:]}*")],
        "nspawn": [str(path) for path in Path("/run/systemd/nspawn").glob(f"**/{mark}*")],
        "directory": [str(state_dir)] if state_dir.exists() else [],
    }
    return {kind: things for kind, things in found.items() if things}


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def _processes(state_dir: str) -> list[str]:
    """Return processes whose command line or mounts speak of the lab's directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            mounts = (process / "mountinfo").read_text()
        except OSError:  # ended since it was listed, or is ending
            continue
        if state_dir in mounts or (state_dir in command and "nspawn" in command):
            found.append(f"{process.name} {command}")
    return found

"""What this machine needs before it can boot a virtual lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SYSTEM_PACKAGES = (
    "ca-certificates",
    "iproute2",
    "iptables",
    "mmdebstrap",
    "openssh-client",
    "systemd-container",
    "util-linux",
)
"""Debian packages that hold the programs below; scripts install them by these names."""

_PROGRAMS = {
    "apt-config": "apt",
    "ip": "iproute2",
    "iptables": "iptables",
    "iptables-save": "iptables",
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}


def why_not() -> str | None:
    """Say in one sentence why this machine cannot boot twins, or return None."""
    if sys.platform != "linux":
        return f"twins are Linux containers, and this machine runs {sys.platform}"
    if os.geteuid() != 0:
        return "booting twins needs root: namespaces, mounts and firewall rules are made"
    missing = {program: package for program, package in _PROGRAMS.items() if not find(program)}
    if missing:
        return (
            f"{', '.join(missing)} not found; "
            f"apt-get install {' '.join(sorted(set(missing.values())))}"
        )
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and not shutil.which("modprobe"):
        return "the kernel has no overlay file system"
    if subprocess.run(("unshare", "--mount", "true"), capture_output=True).returncode != 0:
        return "root may not make mount namespaces here; a container needs to be privileged"
    return None


def find(program: str) -> str | None:
    """Return the path of a program, looking where root's programs are too."""
    search = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=search)

"""The hosts that are measured: light twins on a root file system that has Python.

Ansible needs Python on its targets, which twins have not. So they get a root file system of
their own, the twins' with Python added, and every contender meets the same hosts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.desired import ADDED_PACKAGES
from crosprov.transport.base import SshTarget
from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec
from crosprov.twin import rootfs as twin_rootfs
from crosprov.twin.programs import run

Progress = Callable[[str], None]

_PACKAGES = ("python3", "python3-apt")
_INSTALL = """\
set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
export DEBIAN_FRONTEND=noninteractive
chroot "$1" apt-get -qq update
chroot "$1" apt-get -qq install --no-install-recommends $2
chroot "$1" apt-get -qq install --download-only $3
"""


@dataclass(frozen=True, slots=True)
class BenchLab:
    """N light twins, named bench01 and so on."""

    twins: TwinLab
    names: tuple[str, ...]

    @classmethod
    def of(cls, count: int, cache: Path) -> BenchLab:
        """Name the lab; nothing is made yet."""
        names = tuple(f"bench{number:02}" for number in range(1, count + 1))
        hosts = tuple(TwinHost(name, name, Kind.LIGHT) for name in names)
        return cls(TwinLab(TwinSpec("crosprov-bench", hosts), cache_dir=cache / "twin"), names)

    def up(self, progress: Progress) -> None:
        """Boot what does not run; raises TwinError when this machine cannot."""
        _ensure_rootfs(self.twins.cache_dir, progress)
        if {twin.name for twin in self.twins.list()} not in (set(), set(self.names)):
            self.down()  # left by an earlier benchmark of other size
        self.twins.up(lambda text: None)

    def fresh(self, progress: Progress) -> None:
        """Power every host off, forget what was written on it, and boot it again."""
        for name in self.names:
            self.twins.stop(name)
            for path in (self.twins.upper(name), self.twins.upper(name).with_name("work")):
                shutil.rmtree(path, ignore_errors=True)
        self.up(progress)

    def down(self) -> None:
        """Remove the lab with all that it made; the cache stays."""
        self.twins.down(lambda text: None)

    def target(self, name: str) -> SshTarget:
        """Say how a host is reached."""
        return self.twins.target(name)

    def shell(self, name: str, command: str) -> None:
        """Run a command on a host; raises TwinError when it fails."""
        run(*self.twins.ssh_command(name), command)

    def disk(self, name: str) -> tuple[Path, ...]:
        """Return a host's layers, the uppermost first; what is in none is not on the host."""
        upper = self.twins.upper(name)
        shared = self.twins.cache_dir / "rootfs" / twin_rootfs.this_machine().key
        return (upper, upper.with_name("layer"), shared)


def _ensure_rootfs(cache: Path, progress: Progress) -> None:
    target = cache / "rootfs" / twin_rootfs.this_machine().key
    if target.is_dir():
        return
    base = twin_rootfs.ensure(twin_rootfs.CACHE, progress)
    progress(f"adding {', '.join(_PACKAGES)} to a copy of the root file system, once")
    work = target.with_name(f"building-{os.getpid()}")
    work.parent.mkdir(parents=True, exist_ok=True)
    try:
        run("cp", "--archive", "--reflink=auto", str(base), str(work), timeout=600)
        shutil.copyfile("/etc/resolv.conf", work / "etc/resolv.conf")
        # The mounts are in a namespace of their own and end with it.
        run(
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _INSTALL, "sh"),
            *(str(work), " ".join(_PACKAGES), " ".join(ADDED_PACKAGES)),
            timeout=900,
        )
        _keep_archives(work / "var/cache/apt/archives", cache / "archives")
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep_archives(source: Path, archives: Path) -> None:
    # So that the network's speed is no part of a first apply.
    archives.mkdir(exist_ok=True)
    for package in source.glob("*.deb"):
        shutil.copyfile(package, archives / package.name)

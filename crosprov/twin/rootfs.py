"""The root file system that all twins share, built once per recipe and kept.

It is built by mmdebstrap from this machine's own package sources, with this machine's
trust anchors and its way to the network, so that apt works in a twin as it does here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.locks import locked
from crosprov.twin.programs import run

CACHE = Path("/var/cache/crosprov-twin")

_RECIPE = 1
_PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
)
_ANCHORS = Path("/usr/local/share/ca-certificates")
_APT = Path("/etc/apt")
_BUILD_TIMEOUT = 1800.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine goes into the root file system."""

    codename: str
    sources: tuple[Path, ...]
    anchors: tuple[Path, ...]
    apt_settings: str

    @property
    def key(self) -> str:
        """Name this recipe: anything that changes the result changes the key."""
        digest = hashlib.sha256()
        parts = [str(_RECIPE), platform.machine(), self.codename, *_PACKAGES, self.apt_settings]
        for part in parts:
            digest.update(part.encode() + b"\0")
        for path in (*self.sources, *self.anchors):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return f"{self.codename}-{digest.hexdigest()[:12]}"


def ensure(cache: Path, progress: Progress) -> Path:
    """Return the root file system, building it when the cache has none for this machine.

    Raises TwinError when this machine has no package sources or the build fails.
    """
    machine = this_machine()
    target = cache / "rootfs" / machine.key
    if target.is_dir():
        return target
    waiting = "another process builds the root file system; waiting for it"
    with locked(cache / "rootfs.lock", on_wait=lambda: progress(waiting)) as lock:
        if not target.is_dir():
            progress("building the root file system, once for this machine (about a minute)")
            _build(machine, target, lock)
    return target


def this_machine() -> Machine:
    """Read what the root file system takes from this machine."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not codename:
        raise TwinError("/etc/os-release names no VERSION_CODENAME, so no suite to build from")
    anchors = tuple(sorted(_ANCHORS.rglob("*.crt"))) if _ANCHORS.is_dir() else ()
    return Machine(codename, _sources(_APT), anchors, apt_settings(run("apt-config", "dump")))


def _sources(apt: Path) -> tuple[Path, ...]:
    """Return the distribution's own source files; other people's packages stay out."""
    candidates = (
        apt / "sources.list.d/debian.sources",
        apt / "sources.list.d/ubuntu.sources",
        apt / "sources.list",
    )
    found = tuple(path for path in candidates if path.is_file() and _has_entry(path))
    if not found:
        raise TwinError(
            "this machine's apt has no package sources of its distribution",
            hint=f"write {candidates[0]} or {candidates[-1]}",
        )
    return found


def _has_entry(path: Path) -> bool:
    lines = path.read_text(errors="replace").splitlines()
    return any(line.lower().startswith(("deb ", "deb[", "uris:", "deb\t")) for line in lines)


def apt_settings(dump: str) -> str:
    """Choose from `apt-config dump` the settings of how packages are fetched.

    Hooks and directories stay out: they belong to programs and paths of this machine.
    Downloads are kept, so that the cache can be shared.
    """
    lines = [
        line
        for line in dump.splitlines()
        if line.startswith("Acquire::") and not line.startswith("Acquire::IndexTargets")
    ]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy")
        if proxy and not any(line.startswith(f"Acquire::{scheme}::Proxy ") for line in lines):
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    lines.append('APT::Keep-Downloaded-Packages "true";')
    lines.append('Binary::apt::APT::Keep-Downloaded-Packages "true";')
    return "\n".join(lines) + "\n"


def _build(machine: Machine, target: Path, lock: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob("building-*"):
        shutil.rmtree(leftover)
    work = target.parent / f"building-{os.getpid()}"
    work.mkdir()
    try:
        settings = work / "apt.conf"
        settings.write_text(machine.apt_settings)
        tree = work / "root"
        # Its mounts live in a namespace of their own. It holds the lock as well: when we are
        # killed, the next builder waits for its end.
        run(
            *("unshare", "--mount", "--propagation", "slave"),
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"),
            *("--skip=cleanup/apt/lists", f"--aptopt={settings}"),
            f"--include={','.join(_PACKAGES)}",
            *(f"--customize-hook={hook}" for hook in _hooks(machine)),
            *(machine.codename, str(tree)),
            *(str(path) for path in machine.sources),
            timeout=_BUILD_TIMEOUT,
            pass_fds=(lock,),
        )
        tree.chmod(0o755)
        tree.rename(target)
    except TwinError as error:
        raise TwinError(
            f"the root file system could not be built: {error.message}",
            hint="apt-get update must work on this machine",
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _hooks(machine: Machine) -> list[str]:
    hooks = [f"copy-in {anchor} /usr/local/share/ca-certificates" for anchor in machine.anchors]
    hooks.append('chroot "$1" update-ca-certificates')
    # Every twin has keys and an identity of its own.
    hooks.append('rm -f "$1"/etc/ssh/ssh_host_*; : > "$1"/etc/machine-id')
    return hooks

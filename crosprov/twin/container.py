"""One twin as a systemd-nspawn container: its disk, its start and its end.

The overlay is mounted in a mount namespace of the container's own, so this machine's mount
table never changes and there is nothing to unmount after a crash.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crosprov.twin import cgroups, nspawn, process
from crosprov.twin.accounts import add_account
from crosprov.twin.archives import share
from crosprov.twin.files import Tree, write_whole
from crosprov.twin.keys import ensure_key
from crosprov.twin.layers import write_host
from crosprov.twin.names import Names
from crosprov.twin.programs import last_lines
from crosprov.twin.record import LabRecord, Seat
from crosprov.twin.spec import Kind

_REBOOTED = 133

# Remove what an earlier boot left in a control group. In version 2 a group that hands out
# controllers takes no process; version 1 has no such file.
_CLEAR = (
    "find {group} -mindepth 1 -depth -type d -exec rmdir {{}} +; "
    "for c in $(cat {group}/cgroup.subtree_control 2>/dev/null); "
    "do echo -$c >{group}/cgroup.subtree_control; done"
)

# A test image in developer mode, firmware write protection off.
_FIRMWARE = "debug_build=1\ndevsw_boot=1\nmainfw_type=developer\nwpsw_cur=0\n"


@dataclass(frozen=True, slots=True)
class Base:
    """What a lab's containers are made from, and the directories that they share."""

    rootfs: Path
    kinds: Path
    archives: Path
    login_key: str


@dataclass(frozen=True, slots=True)
class Container:
    """A twin at its place in a lab; `home` is its directory in the lab's state."""

    names: Names
    seat: Seat
    home: Path

    @property
    def machine(self) -> str:
        return self.names.machine(self.seat.number)

    @property
    def upper(self) -> Path:
        """The overlay's upper directory: all that was written on the twin."""
        return self.home / "upper"

    @property
    def stateful(self) -> Path:
        """A DUT's stateful partition."""
        return self.home / "stateful"

    @property
    def disk(self) -> Path:
        """What a DUT's update engine wrote to its root partitions."""
        return self.home / "disk"

    @property
    def firmware(self) -> Path:
        """A DUT's firmware properties, as crossystem shows them."""
        return self.home / "crossystem"

    @property
    def running(self) -> process.Running | None:
        return process.find(self.home / "process")

    @property
    def ready(self) -> bool:
        """Tell whether the process that runs now was seen to answer."""
        if self.running is None:
            return False
        seen = self.home / "ready"
        return seen.exists() and seen.read_bytes() == (self.home / "process").read_bytes()

    def mark_ready(self) -> None:
        write_whole(self.home / "ready", (self.home / "process").read_bytes())

    def prepare(self, record: LabRecord, base: Base) -> None:
        """Write the twin's disk and identity, keeping what is there."""
        host = self.seat.host
        for name in ("layer", "upper", "work", "root"):
            Tree(self.home / name).directory("/")
        layer = Tree(self.home / "layer")
        write_host(layer.root, record, self.seat, login_key=base.login_key)
        if host.user != "root":
            add_account(layer, base.rootfs, host.user, base.login_key)
        if host.kind is Kind.DUT:
            keys = Tree(self.stateful)
            keys.directory("/dev_image")
            keys.directory("/etc/ssh", 0o700)
            self.disk.mkdir(exist_ok=True)
            if not self.firmware.exists():
                write_whole(self.firmware, _FIRMWARE.encode())
        else:
            keys = layer
            (self.home / "archives").mkdir(exist_ok=True)
            share(base.archives, self.home / "archives")
        if host.kind is Kind.SERVER:
            (self.home / "docker").mkdir(exist_ok=True)
        public = ensure_key(self.home / "host_key", host.name)
        secret = (self.home / "host_key").read_bytes()
        keys.file("/etc/ssh/ssh_host_ed25519_key", secret, 0o600)
        keys.file("/etc/ssh/ssh_host_ed25519_key.pub", f"{public}\n")

    def start(self, base: Base) -> None:
        """Start the container; return before it has booted."""
        join: list[Path] = []
        if not cgroups.is_managed():
            cgroups.kill(self.machine)
            join = cgroups.create(self.machine)
        disk = nspawn.mount(self.home, base.kinds / self.seat.host.kind, base.rootfs)
        argv = nspawn.arguments(self.names, self.seat, self.home)
        command = f"{shlex.join(disk)} && {_run(argv, join)}"
        process.spawn(
            ("unshare", "--mount", "--propagation", "slave", "sh", "-c", command),
            record=self.home / "process",
            console=self.home / "console.log",
        )

    def kill(self) -> None:
        """Cut the twin's power: every process ends at once."""
        process.kill(self.home / "process")

    def console(self) -> str:
        """Return the last lines of the console, in one line."""
        try:
            text = (self.home / "console.log").read_text(errors="replace")
        except FileNotFoundError:
            return "(no console output)"
        return last_lines(text, 6) or "(no console output)"


def _run(argv: list[str], join: list[Path]) -> str:
    """Return the shell's words that run nspawn, and run it again when the twin is rebooted.

    Where systemd gives the twin a unit, nspawn boots it again by itself. Elsewhere it was told
    to keep its unit, and ends with a status that asks for it. It must not outlive the shell,
    whose pid is on record. Each time it enters the twin's control groups anew.
    """
    if not join:
        return f"exec {shlex.join(argv)}"
    clear = "; ".join(_CLEAR.format(group=shlex.quote(str(path.parent))) for path in join)
    enter = "; ".join(f"echo 0 >{shlex.quote(str(path))} || exit 1" for path in join)
    alone = shlex.join(("setpriv", "--pdeathsig", "KILL", "--", *argv))
    return f"while {clear}; ({enter}; exec {alone}); [ $? -eq {_REBOOTED} ]; do :; done"


def write_known_hosts(path: Path, containers: Iterable[Container]) -> None:
    """Write down the host keys of all twins that have one, by management address."""
    lines = []
    for container in containers:
        public = container.home / "host_key.pub"
        if public.exists():
            kind, key = public.read_text().split()[:2]
            lines.append(f"{container.seat.management} {kind} {key}\n")
    write_whole(path, "".join(lines).encode())


def forget(machine: str) -> None:
    """Remove what nspawn leaves of a container that was killed."""
    shutil.rmtree(f"/run/systemd/nspawn/propagate/{machine}", ignore_errors=True)
    shutil.rmtree(f"/run/systemd/nspawn/unix-export/{machine}", ignore_errors=True)

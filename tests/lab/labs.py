"""Labs of a test module's own, driven by the real program, and surveys of what was written."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from crosprov.inventory.load import load_lab
from crosprov.twin import TwinLab, why_not
from crosprov.twinning import twin_lab
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("crosprov")

# What a running system writes by itself, relative to a twin's disk.
NOISE = (
    "var/log/*",
    "var/lib/systemd/*",
    "var/cache/*",
    "var/tmp/*",
    "tmp/*",
    "run/*",
    "root/.ssh",
    "etc/machine-id",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path of a disk, in all that a run could change."""

    kind: str
    mode: str
    owner: tuple[int, int]
    size: int
    content: str  # digest of a file, target of a link, number of a device
    mtime_ns: int


Disk = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a twin, as this machine sees it: ids are those of this machine."""

    pid: int
    parent: int
    session: int
    command: str

    def kill(self, number: int = signal.SIGKILL) -> bool:
        """Send a signal; return whether the process was still there."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


class Started:
    """A program under way, whose outputs go to files so that it never waits for a reader."""

    def __init__(self, command: list[str], output: Path, env: Mapping[str, str] | None) -> None:
        self._output = output
        output.mkdir()
        with (output / "out").open("wb") as out, (output / "err").open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def progress(self) -> str:
        """What it has said on stderr so far."""
        return (self._output / "err").read_text(errors="replace")

    def wait_for(self, text: str, *, within: float = 60) -> None:
        """Wait until it says something on stderr, or ends."""
        until(lambda: text in self.progress or self.process.poll() is not None, within=within)

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, *, within: float = 120) -> subprocess.CompletedProcess[str]:
        """Wait for its end and give what it left; it is killed when that takes too long."""
        try:
            status = self.process.wait(within)
        finally:
            self.process.kill()
            self.process.wait()
        out, err = (self._output / name for name in ("out", "err"))
        return subprocess.CompletedProcess(
            self.process.args, status, out.read_text(), err.read_text()
        )


class Lab:
    """A lab with its virtual twin; `crosprov` is the real program in a process of its own."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        self.folder = inventory.parent
        lab = load_lab(inventory)
        self.name = lab.name
        self.twin: TwinLab = twin_lab(lab)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts, in the order of the inventory."""
        return tuple(host.name for host in self.twin.spec.hosts)

    def write(self, text: str) -> None:
        """Replace the inventory's text; its hosts and its name stay the ones that were booted."""
        self.inventory.write_text(text.replace("NAME", self.name))

    def command(self, command: str, *arguments: str) -> list[str]:
        """Give the command line of `crosprov COMMAND --twin INVENTORY ARGUMENTS`."""
        return [str(PROGRAM), command, "--twin", str(self.inventory), *arguments]

    def crosprov(
        self,
        command: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 240,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of crosprov on the lab's twin, to its end."""
        return run(self.command(command, *arguments), env=env, timeout=timeout)

    def program(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run crosprov with exactly these arguments."""
        return run([str(PROGRAM), *arguments], env=env, timeout=timeout)

    def start(self, command: str, *arguments: str, env: Mapping[str, str] | None = None) -> Started:
        """Start a command of crosprov on the lab's twin, in a session of its own."""
        return Started(
            self.command(command, *arguments), self.folder / f"run-{secrets.token_hex(4)}", env
        )

    def ssh(
        self, host: str, command: str, *, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root on a twin, by other means than crosprov's."""
        return run([*self.twin.ssh_command(host, user="root"), command], timeout=timeout)

    def must(self, host: str, command: str, *, timeout: float = 60) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.ssh(host, command, timeout=timeout)
        assert done.returncode == 0, f"{host}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def roots(self, host: str) -> tuple[Path, ...]:
        """Give the directories that hold all that was written on a twin's disks."""
        kind = next(twin.kind for twin in self.twin.spec.hosts if twin.name == host)
        upper = self.twin.upper(host)
        return (upper, self.twin.stateful(host)) if kind == "dut" else (upper,)

    def processes(self, host: str) -> list[Process]:
        """List a twin's processes."""
        first = next(twin.pid for twin in self.twin.list() if twin.name == host)
        everything = [found for path in Path("/proc").glob("[0-9]*") if (found := _process(path))]
        # A shell that boots the twin again after a reboot may stand before nspawn.
        nspawn = {first, *(found.pid for found in everything if found.parent == first)}
        inside = {_namespace(found.pid) for found in everything if found.parent in nspawn}
        inside -= {_namespace(os.getpid()), ""}
        return [found for found in everything if _namespace(found.pid) in inside]

    def uppers(self, *, ignore: Iterable[str] = NOISE) -> dict[str, Disk]:
        """Survey all disks; paths of a DUT's stateful partition begin with `stateful:`."""
        patterns = tuple(ignore)
        found: dict[str, Disk] = {}
        for host in self.hosts:
            upper, *stateful = self.roots(host)
            disk = survey(upper, patterns)
            for root in stateful:
                disk |= {f"stateful:{path}": entry for path, entry in survey(root).items()}
            found[host] = disk
        return found


@contextmanager
def booted(folder: Path, text: str) -> Iterator[Lab]:
    """Boot the lab of an inventory, and take it down for sure.

    `NAME` in the text becomes a name that no other lab has.
    """
    if reason := why_not():
        pytest.skip(reason)
    inventory = folder / "lab.yml"
    inventory.write_text(text.replace("NAME", f"test-{secrets.token_hex(4)}"))
    lab = Lab(inventory)
    try:
        lab.twin.up(mute)
        yield lab
    finally:
        lab.twin.down(mute)


def demo(extra: str = "") -> str:
    """Give the text of the demo inventory under the name NAME, with more at its end."""
    text = (REPOSITORY / "inventory" / "demo.yml").read_text()
    assert "\nlab: demo\n" in text
    return text.replace("\nlab: demo\n", "\nlab: NAME\n") + extra


def survey(root: Path, ignore: Iterable[str] = ()) -> Disk:
    """Look at everything below a directory, by its path relative to it."""
    patterns = tuple(ignore)
    found: Disk = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            relative = str(path.relative_to(root))
            if any(fnmatch(relative, pattern) for pattern in patterns):
                continue
            try:
                found[relative] = _entry(path)
            except FileNotFoundError:  # gone since it was listed
                continue
    return found


def differences(before: Disk, after: Disk, *, times: bool = True) -> list[str]:
    """Name the paths that differ; directories' own times never count, their entries do."""
    return sorted(
        path
        for path in before.keys() | after.keys()
        if _comparable(before.get(path), times) != _comparable(after.get(path), times)
    )


def run(
    command: list[str], *, env: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without a terminal."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=timeout,
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Word what a program left, for the message of a failed assertion."""
    return f"exit {done.returncode}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}"


def mute(_: str) -> None:
    """Take a lab's progress and say nothing."""


def _entry(path: Path) -> Entry:
    found = path.lstat()
    content = ""
    if stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        content = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return Entry(
        kind=stat.filemode(found.st_mode)[0],
        mode=f"{stat.S_IMODE(found.st_mode):04o}",
        owner=(found.st_uid, found.st_gid),
        size=0 if stat.S_ISDIR(found.st_mode) else found.st_size,
        content=content,
        mtime_ns=found.st_mtime_ns,
    )


def _process(path: Path) -> Process | None:
    """Read a process; None when it has ended, or is no more than a name."""
    try:
        after_name = (path / "stat").read_text().rpartition(") ")[2].split()
        command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return None
    return Process(int(path.name), int(after_name[1]), int(after_name[3]), command.strip())


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _comparable(entry: Entry | None, times: bool) -> tuple[object, ...] | None:
    if entry is None:
        return None
    time = entry.mtime_ns if times and entry.kind != "d" else 0
    return (entry.kind, entry.mode, entry.owner, entry.size, entry.content, time)

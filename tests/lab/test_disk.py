"""Disks that are full or read-only: a sentence, the old files whole, and the next run converges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.labs import Lab, booted, told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SERVER = "server1"
DUT = "dut01"
SMALL = "/srv/small"
STATEFUL = "/mnt/stateful_partition"
PATHS = tuple(f"{SMALL}/{number}.conf" for number in range(3))


def content(word: str, path: str) -> str:
    """Give a managed file: 8 KiB each of the old, then 8, 32 and 128 KiB of the new."""
    times = 4 ** PATHS.index(path) if word == "new" else 1
    return f"{word}\n" * 2048 * times


def inventory(word: str) -> str:
    """Give a server with three files in one folder, and a DUT."""
    files = {path: {"content": content(word, path)} for path in PATHS}
    return json.dumps({
        "lab": "NAME",
        "defaults": {"ssh": {"command_timeout": 60}},
        "hosts": {
            SERVER: {"ssh": {"host": "10.0.0.5"}, "common": {"files": files}},
            DUT: {
                "ssh": {"host": "10.0.1.1"},
                "dut": {"board": "eve", "lsb_release": {"LAB_WORD": word}},
            },
        },
    })  # fmt: skip


@pytest.fixture(scope="module")
def booted_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one DUT."""
    with booted(tmp_path_factory.mktemp("disk"), inventory("old")) as one:
        yield one


@pytest.fixture
def lab(booted_lab: Lab) -> Lab:
    """The lab, converged to the word `old`."""
    _converge(booted_lab, "old")
    return booted_lab


@dataclass(frozen=True, slots=True)
class Fault:
    """A folder whose file system gets into a state, and what the run shall say about it."""

    host: str
    folder: str
    read_only: bool
    says: str
    hint: str

    def __str__(self) -> str:
        return f"{self.host} {self.folder} {'read-only' if self.read_only else 'full'}"


FULL = "No space left on device"
READ_ONLY = "Read-only file system"
FAULTS = (
    Fault(SERVER, SMALL, False, FULL, "the disk is full: make room"),
    Fault(SERVER, SMALL, True, READ_ONLY, "read-only on this host"),
    Fault(SERVER, "/var/lib/crosprov", False, FULL, "disk full"),
    Fault(SERVER, "/var/lib/crosprov", True, "/var/lib/crosprov cannot be written", "read-only"),
    Fault(DUT, STATEFUL, False, FULL, "disk full"),
    Fault(DUT, STATEFUL, True, f"{STATEFUL}/crosprov cannot be written", "read-only"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_disk_that_takes_nothing_is_told_and_harms_no_file(lab: Lab, fault: Fault) -> None:
    before = _contents(lab, fault.host)
    with _damaged(lab, fault):
        lab.write(inventory("new"))
        done = lab.crosprov("apply", "--yes", "--limit", fault.host)
        assert done.returncode == 4, told(done)
        _, _, summary = done.stdout.rpartition("\nPlan: ")
        assert fault.says in summary, told(done)
        assert fault.hint in summary, told(done)
        assert "Traceback" not in done.stderr
        assert _contents(lab, fault.host) == before, "the old files stay whole"
    _converge(lab, "new")


def test_a_disk_that_fills_up_in_the_middle_leaves_whole_files(lab: Lab) -> None:
    fault = FAULTS[0]
    with _damaged(lab, fault, room=44 * 1024):
        lab.write(inventory("new"))
        done = lab.crosprov("apply", "--yes", "--limit", SERVER)
        assert done.returncode == 4, told(done)
        left = lab.must(SERVER, f"ls -A {SMALL}").split()
        assert not [name for name in left if name.endswith(".crosprov")], left
        words = dict(zip(PATHS, ("new", "new", "old"), strict=True))
        expected = {path: _sum(content(word, path)) for path, word in words.items()}
        assert _contents(lab, SERVER) == expected, told(done)
    _converge(lab, "new")


@contextmanager
def _damaged(lab: Lab, fault: Fault, room: int = 0) -> Iterator[None]:
    """Put a small file system with the folder's content in its place, and take it away again.

    What was written there in the meantime is brought back to the folder itself.
    """
    folder, host = fault.folder, fault.host
    under = "/run/under"
    option = "" if fault.read_only else _fill(folder, room)
    read_only = f"mount -o remount,ro {folder}" if fault.read_only else ":"
    lab.must(
        host,
        f"mkdir -p {under} && mount --bind {folder} {under} && mount --make-private {under} && "
        f"mount -t tmpfs -o size=320k,mode=$(stat -c %a {folder}) tmpfs {folder} && "
        f"cp -a {under}/. {folder}/ && {option or ':'} && {read_only}",
    )
    try:
        yield
    finally:
        back = f"rm -f {folder}/fill; cp -a {folder}/. {under}/"
        lab.must(host, f"{back}; umount {folder}; umount {under}")


def _fill(folder: str, room: int) -> str:
    fill = f"{folder}/fill"
    spare = f"truncate -s -{room} {fill}" if room else ":"
    return f"{{ dd if=/dev/zero of={fill} bs=4k 2>/dev/null || :; }} && {spare}"


def _contents(lab: Lab, host: str) -> dict[str, str]:
    """Give the digests of the managed files, as the host sees them."""
    paths = PATHS if host == SERVER else (f"{STATEFUL}/etc/lsb-release",)
    lines = lab.must(host, "sha256sum " + " ".join(paths)).splitlines()
    return {line.split()[1]: line.split()[0] for line in lines}


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _converge(lab: Lab, word: str) -> None:
    lab.write(inventory(word))
    done = lab.crosprov("apply", "--yes")
    assert done.returncode == 0, told(done)
    again = lab.crosprov("plan", "--detailed-exitcode")
    assert again.returncode == 0, told(again)
    upper = lab.twin.upper(SERVER)
    assert not list((upper / SMALL.strip("/")).glob(".*.crosprov"))
    state = {path.name for path in Path(upper / "var/lib/crosprov").iterdir()}
    assert state <= {"journal", "before", "restart"}, state

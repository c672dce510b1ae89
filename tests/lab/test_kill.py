"""An apply that is killed at any instant, on either side: the next one converges.

Nothing here waits for a certain moment: whatever the instant, the same must hold.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.labs import Lab, Process, booted, told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

HOST = "server1"
CYCLES = int(os.environ.get("CROSPROV_TEST_KILLS", "20"))
SEED = 20240229
VARIANTS = ("ada", "bob")
SIZES = (0, 1, 100, 4096, 65_536, 300_000)
MODES = ("0644", "0600", "0640", "0755")
LOADED = "/srv/loaded"  # what the service has read at its last start
CONFIG = "/etc/faults/app.conf"
UNIT = """\
[Unit]
Description=Shows which configuration it was started with

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/cp /etc/faults/app.conf /srv/loaded
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a managed file is in one variant."""

    content: bytes
    mode: str


def expected(variant: str) -> dict[str, Expected]:
    """Give the managed files of a variant: all contents differ, every second mode too."""
    found = {}
    for number in range(24):
        size = SIZES[number % len(SIZES)]
        word = f"{variant} {number} ".encode()
        content = (word * (size // len(word) + 1))[:size] if size else b""
        mode = MODES[(number + VARIANTS.index(variant) * (number % 2)) % len(MODES)]
        found[f"/etc/faults/{number:02}/file"] = Expected(content, mode)
    found[CONFIG] = Expected(f"owner={variant}\n".encode() * 100, "0644")
    return found


def inventory(variant: str, folder: Path) -> str:
    """Write the sources of a variant and give the inventory that uses them."""
    sources = folder / variant
    sources.mkdir(exist_ok=True)
    files: dict[str, object] = {
        "/etc/systemd/system/loaded.service": {"content": UNIT, "restarts": ["loaded.service"]}
    }
    for path, wanted in expected(variant).items():
        source = sources / path.strip("/").replace("/", "-")
        if not source.exists():
            source.write_bytes(wanted.content)
        files[path] = {"source": str(source.relative_to(folder)), "mode": wanted.mode}
        if path == CONFIG:
            files[path]["restarts"] = ["loaded.service"]  # type: ignore[index]
    common = {
        "users": {"faulty": {"shell": "/bin/sh" if variant == "ada" else "/bin/bash"}},
        "directories": {"/etc/faults": {"mode": "0755" if variant == "ada" else "0751"}},
        "links": {"/etc/faults-link": f"/etc/faults/{variant}"},
        "files": files,
        "settings": {"/etc/default/faults": {"OWNER": variant, "GONE": None}},
        "blocks": {"/etc/faults-block": f"host of {variant}\n" * 3},
        "units": {"loaded.service": {"enabled": True, "running": True}},
    }
    return json.dumps({
        "lab": "NAME",
        "defaults": {"ssh": {"command_timeout": 60, "connect_timeout": 20}},
        "hosts": {HOST: {"ssh": {"host": "10.0.0.5"}, "common": common}},
    })  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server on which both variants have been applied once."""
    folder = tmp_path_factory.mktemp("kill")
    with booted(folder, inventory("ada", folder)) as one:
        yield one


def test_an_apply_that_is_killed_is_made_good_by_the_next(lab: Lab, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    environment = {"TMPDIR": str(tmp_path)}
    for variant in (*VARIANTS, VARIANTS[0], VARIANTS[1]):
        said = _converge(lab, variant, environment)
    _plans_nothing(lab, environment)
    changes = int(re.findall(r": \d+/(\d+) ", said)[-1])  # of a flip of the variant
    ended = 0
    for cycle in range(CYCLES):
        old, new = VARIANTS[(cycle + 1) % 2], VARIANTS[cycle % 2]
        lab.write(inventory(new, lab.folder))
        instant = Instant.draw(chance, changes)
        what, status = _killed(lab, environment, instant)
        ended += status == 0
        sys.stdout.write(f"{cycle + 1:2}: {what}\n")  # pytest shows it when the test fails
        _all_whole(lab, old, new)
        _converge(lab, new, environment)
        if cycle % 5 == 4:  # the apply itself has planned once more; ask another process too
            _plans_nothing(lab, environment)
        _as_wanted(lab, new, shell_died=instant.victim == "shell")
        assert list(tmp_path.iterdir()) == [], "temporary files of the controller"
    assert ended <= CYCLES // 5, f"{ended} runs had ended before they could be killed"


@dataclass(frozen=True, slots=True)
class Instant:
    """When a run is killed, and what: crosprov, or its counterpart on the host."""

    victim: str
    change: int  # that must have begun; 0 for a run that is still starting or planning
    delay: float  # seconds from then on

    @classmethod
    def draw(cls, chance: random.Random, changes: int) -> Instant:
        """Draw an instant; most lie between changes, the last ones where units restart."""
        victim = chance.choice(("crosprov", "crosprov", "session", "shell"))
        between = [chance.randint(1, changes) for _ in range(4)]
        change = chance.choice((0, *between, changes))
        longest = {0: 1.0, changes: 1.0}.get(change, 0.15)
        return cls(victim, change, chance.uniform(0, longest))


def _killed(lab: Lab, environment: dict[str, str], instant: Instant) -> tuple[str, int]:
    """Start an apply and kill it or its counterpart; say what was done, and its exit status."""
    run = lab.start("apply", "--yes", env=environment)
    if instant.change:
        run.wait_for(f": {instant.change}/")
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(instant.delay)
    targets = [] if instant.victim == "crosprov" else _counterpart(lab, instant.victim)
    for target in targets:
        target.kill()
    if not targets:
        run.signal(signal.SIGKILL)
    done = run.end(within=60)
    killed = instant.victim if targets else "crosprov"
    what = f"{killed} killed {instant.delay:.2f} s after change {instant.change}"
    return f"{what}, exit {done.returncode}", done.returncode


def _counterpart(lab: Lab, victim: str) -> list[Process]:
    """Find what works for us on the host: the server's process, or the shell's whole session."""
    running = lab.processes(HOST)
    shells = [found for found in running if found.command == "sh -s"]
    if victim == "shell":
        sessions = {shell.session for shell in shells}
        return [found for found in running if found.session in sessions]
    parents = {shell.parent for shell in shells}
    return [found for found in running if found.pid in parents and "sshd" in found.command]


def _all_whole(lab: Lab, old: str, new: str) -> None:
    """Check what stands on the disk at once, before anything mends it."""
    upper = lab.twin.upper(HOST)
    before, after = expected(old), expected(new)
    for path in before:
        allowed = (before[path], after[path])
        found = _read(upper / path.strip("/"))
        # A mode is set after its content, never before: each is of one variant.
        assert found.content in {one.content for one in allowed}, f"{path} is half-written"
        assert found.mode in {one.mode for one in allowed}, f"{path} has mode {found.mode}"
        place = upper / path.strip("/")
        left = place.with_name(f".{place.name}.crosprov")
        if left.exists():
            temporary = _read(left)
            assert temporary.mode == "0600" or temporary in allowed, f"{left}: {temporary.mode}"


def _as_wanted(lab: Lab, variant: str, *, shell_died: bool) -> None:
    """Check a converged host: every file, the restart that was due, and that nothing is left."""
    upper = lab.twin.upper(HOST)
    for path, wanted in expected(variant).items():
        assert _read(upper / path.strip("/")) == wanted, path
    loaded = (upper / LOADED.strip("/")).read_bytes()
    assert loaded == expected(variant)[CONFIG].content, "a restart that was due is lost"
    state = upper / "var/lib/crosprov"
    found = {str(path.relative_to(state)) for path in state.rglob("*")}
    strange = {name for name in found if not name.startswith("before/") or "." in name}
    # A shell that was killed cannot give its lock back; whoever finds it knows that it is dead,
    # and takes it away with the next change.
    dead = {"lock", "lock/owner"} if shell_died else set()
    assert strange <= {"journal", "restart", "before"} | dead, strange
    assert not list((upper / "etc").rglob(".*.crosprov"))
    assert (upper / "etc/default/faults").read_text() == f"OWNER={variant}\n"
    assert (upper / "etc/faults-link").readlink() == Path(f"/etc/faults/{variant}")


def _converge(lab: Lab, variant: str, environment: dict[str, str]) -> str:
    """Apply a variant to its end, which includes a second plan of what it changed."""
    lab.write(inventory(variant, lab.folder))
    done = lab.crosprov("apply", "--yes", env=environment)
    assert done.returncode == 0, told(done)
    empty = "a second plan of the changed hosts is empty" in done.stdout
    assert empty or "Nothing to do" in done.stdout, told(done)
    return done.stderr


def _plans_nothing(lab: Lab, environment: dict[str, str]) -> None:
    again = lab.crosprov("plan", "--detailed-exitcode", env=environment)
    assert again.returncode == 0, told(again)


def _read(path: Path) -> Expected:
    return Expected(path.read_bytes(), f"{stat.S_IMODE(path.stat().st_mode):04o}")

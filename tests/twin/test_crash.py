"""Labs that are killed in the middle: the next up finishes, the next down leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec
from tests.twin.conftest import print_nothing, ssh
from tests.twin.survey import traces

pytestmark = pytest.mark.lab

SPEC = TwinSpec(
    "crash",
    (
        TwinHost("light1", "10.0.0.1", Kind.LIGHT),
        TwinHost("dut1", "10.0.0.2", Kind.DUT),
        TwinHost("server1", "10.0.0.3", Kind.SERVER),
    ),
)

# Each step is left undone, or done, when the process that boots the lab is killed.
STEPS = [
    "crosprov.twin.registry.claim",
    "crosprov.twin.record.save",
    "crosprov.twin.network.build",
    "crosprov.twin.firewall.open_for",
    "crosprov.twin.container.Container.prepare",
    "crosprov.twin.container.Container.start",
    "crosprov.twin.container.Container.mark_ready",
]

PROGRAM = """
import os, pkgutil, signal, sys
from pathlib import Path
from crosprov.twin import TwinLab
from tests.twin.test_crash import SPEC

where, _, name = sys.argv[1].rpartition(".")
owner = pkgutil.resolve_name(where)
real = getattr(owner, name)

def killed(*args, **kwargs):
    if sys.argv[2] == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
TwinLab(SPEC, state_dir=Path(sys.argv[3])).up(lambda line: None)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[TwinLab]:
    lab = TwinLab(SPEC, state_dir=tmp_path / "state")
    yield lab
    lab.down(print_nothing)


def kill_up(lab: TwinLab, step: str, moment: str) -> None:
    program = (sys.executable, "-c", PROGRAM, step, moment, str(lab.state_dir))
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_down_after_a_crash_leaves_nothing(lab: TwinLab, step: str, moment: str) -> None:
    kill_up(lab, step, moment)
    assert traces(lab.state_dir)
    lab.down(print_nothing)
    assert traces(lab.state_dir) == {}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_up_after_a_crash_finishes(lab: TwinLab, step: str, moment: str) -> None:
    kill_up(lab, step, moment)
    lab.up(print_nothing)
    assert all(status.running for status in lab.list())
    for host in SPEC.hosts:
        assert ssh(lab, host.name, "hostname").stdout == f"{host.name}\n"
    state = ssh(lab, "server1", "systemctl is-system-running").stdout.strip()
    assert state in ("running", "degraded")


def test_down_of_a_whole_lab_leaves_nothing(lab: TwinLab) -> None:
    lab.up(print_nothing)
    there = traces(lab.state_dir)
    assert {"links", "namespaces", "rules", "processes", "claims", "directory"} <= there.keys()
    lab.down(print_nothing)
    assert traces(lab.state_dir) == {}
    said: list[str] = []
    lab.down(said.append)
    assert said == ["lab crash is not up"]


def test_down_needs_no_record(lab: TwinLab) -> None:
    lab.up(print_nothing)
    (lab.state_dir / "lab.json").write_text("{")
    with pytest.raises(TwinError, match="not the record"):
        lab.list()
    TwinLab.at(lab.state_dir).down(print_nothing)
    assert traces(lab.state_dir) == {}


def test_down_of_a_lab_whose_network_is_gone_removes_the_rest(lab: TwinLab) -> None:
    """As after a reboot: the directory is there, with pids of another boot, and nothing else."""
    lab.up(print_nothing)
    for status in lab.list():
        lab.stop(status.name)
    for home in (lab.state_dir / "hosts").iterdir():
        (home / "process").write_text(f"another-boot\n{Path('/proc/1/stat').read_text()}")
    from crosprov.twin import network, registry
    from crosprov.twin.names import Names

    network.remove(Names.of(lab.state_dir))
    registry.release(Names.of(lab.state_dir))
    assert [status.running for status in lab.list()] == [False, False, False]
    lab.down(print_nothing)
    assert traces(lab.state_dir) == {}


def test_a_twin_that_dies_while_it_boots_is_told_with_its_console(lab: TwinLab) -> None:
    lab.up(print_nothing)
    lab.stop("light1")
    broken = lab.upper("light1") / "usr/sbin"
    broken.mkdir(parents=True, exist_ok=True)
    (broken / "sshd").write_text("#!/bin/sh\necho no sshd today >&2\nexit 1\n")
    (broken / "sshd").chmod(0o755)
    with pytest.raises(TwinError, match=r"light1 ended while it booted.*no sshd today") as caught:
        lab.start("light1")
    assert "console.log" in (caught.value.hint or "")
    assert [status.running for status in lab.list()] == [False, True, True]

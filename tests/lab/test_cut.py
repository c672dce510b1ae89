"""Runs that are cut off, rebooted under, interrupted, or not alone: the next one converges.

What is under way waits for a file to go away, so each fault strikes in the middle for certain.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import Lab, Started, booted, told
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SERVER = "server1"
DUT = "dut01"
COMMAND_LIMIT = 8  # seconds, for each change of a plan
CHANGES = 4  # of the server when the word changes
BLOCK = "/run/block"
STATE = {SERVER: "/var/lib/crosprov", DUT: "/mnt/stateful_partition/crosprov"}
UNIT = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/bin/sh -c 'while [ -e {wait} ]; do sleep 0.1; done'
ExecStart=/bin/cp /etc/{name}.conf /srv/{name}
[Install]
WantedBy=multi-user.target
"""


def inventory(word: str) -> str:
    """Give a server with two units, the first of which can be held, and a DUT."""
    files: dict[str, object] = {}
    for name, wait in (("slow", BLOCK), ("after", "/nonexistent")):
        restarts = [f"{name}.service"]
        unit = UNIT.format(name=name, wait=wait)
        files[f"/etc/systemd/system/{name}.service"] = {"content": unit, "restarts": restarts}
        files[f"/etc/{name}.conf"] = {"content": f"{word}\n", "restarts": restarts}
    units = {f"{name}.service": {"enabled": True, "running": True} for name in ("slow", "after")}
    return json.dumps({
        "lab": "NAME",
        "defaults": {"ssh": {"connect_timeout": 5, "command_timeout": COMMAND_LIMIT}},
        "hosts": {
            SERVER: {"ssh": {"host": "10.0.0.5"}, "common": {"files": files, "units": units}},
            DUT: {
                "ssh": {"host": "10.0.1.1"},
                "dut": {"board": "eve", "lsb_release": {"LAB_WORD": word}},
            },
        },
    })  # fmt: skip


@pytest.fixture(scope="module")
def booted_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one DUT."""
    with booted(tmp_path_factory.mktemp("cut"), inventory("old")) as one:
        yield one


@pytest.fixture
def lab(booted_lab: Lab) -> Iterator[Lab]:
    """The lab, converged to the word `old`."""
    _converge(booted_lab, "old")
    yield booted_lab
    for host in booted_lab.hosts:
        booted_lab.twin.heal(host)
        booted_lab.twin.start(host)
    booted_lab.must(SERVER, f"rm -f {BLOCK}")


def test_a_cut_network_ends_the_run_in_time_and_the_next_converges(lab: Lab) -> None:
    run = _held(lab, "new")
    lab.twin.cut(SERVER)
    began = time.monotonic()
    done = run.end(within=60)
    assert time.monotonic() - began < CHANGES * COMMAND_LIMIT + 10
    assert done.returncode == 4, told(done)
    assert SERVER in done.stdout and "hint: " in done.stdout
    assert "Traceback" not in done.stderr
    unreached = lab.crosprov("plan", "--limit", SERVER)
    assert unreached.returncode == 4, told(unreached)
    # Who notices first, we or the kernel that finds nobody at that address, is chance.
    said = unreached.stdout
    assert "5 s" in said or "No route to host" in said, told(unreached)
    lab.twin.heal(SERVER)
    lab.must(SERVER, f"rm {BLOCK}")
    _converge(lab, "new")


def test_a_server_that_reboots_under_a_run_is_converged_by_the_next(lab: Lab) -> None:
    run = _held(lab, "new")
    lab.twin.restart(SERVER)
    done = run.end(within=60)
    assert done.returncode == 4, told(done)
    assert _lock(lab, SERVER), "the reboot shall leave the lock of the dead run behind"
    _converge(lab, "new")


@pytest.mark.parametrize("fault", ["cut", "reboot"])
def test_a_dut_that_is_lost_in_the_middle_is_converged_by_the_next(lab: Lab, fault: str) -> None:
    # A journal that nobody reads holds the run right after its first change.
    journal = f"{STATE[DUT]}/journal"
    lab.must(DUT, f"mv {journal} {journal}.kept && mkfifo {journal}")
    lab.write(inventory("new"))
    run = lab.start("apply", "--yes", "--limit", DUT)
    until(lambda: "LAB_WORD=new" in _lsb_release(lab))
    run.wait_for("1/2")
    assert run.process.poll() is None, "the run shall still be held"
    if fault == "cut":
        lab.twin.cut(DUT)
    else:
        lab.twin.restart(DUT)
    done = run.end(within=60)
    assert done.returncode == 4, told(done)
    lab.twin.heal(DUT)
    assert (lab.twin.stateful(DUT) / "crosprov/restart/update-engine").exists()
    assert _lock(lab, DUT)
    if fault == "cut":
        lab.must(DUT, f"timeout 20 cat {journal} >/dev/null")
    lab.must(DUT, f"mv {journal}.kept {journal}")
    _converge(lab, "new")
    last = json.loads((lab.twin.stateful(DUT) / "crosprov/journal").read_text().splitlines()[-1])
    assert (last["resource"], last["result"]) == ("job update-engine", "done")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_finishes_the_change_under_way_and_no_other(
    lab: Lab, number: signal.Signals
) -> None:
    run = _held(lab, "new")
    run.signal(number)
    done = run.end(within=20)
    assert done.returncode == 130, told(done)
    _, _, summary = done.stdout.rpartition("\nPlan: ")
    assert f"interrupted  {SERVER}" in summary
    assert "unit slow.service" in summary, f"the change under way is not named:\n{summary}"
    assert "Traceback" not in done.stderr
    assert _lock(lab, SERVER)
    lab.must(SERVER, f"rm {BLOCK}")
    until(lambda: not _lock(lab, SERVER))
    assert _shown(lab, "slow") == "new\n", "the change under way is finished"
    assert _shown(lab, "after") == "old\n", "nothing after it is begun"
    _converge(lab, "new")


def test_a_second_run_waits_for_the_first(lab: Lab) -> None:
    first = _held(lab, "new")
    second = lab.start("apply", "--yes", "--limit", SERVER)
    time.sleep(2)  # enough to be at the host; the verdict does not depend on it
    lab.must(SERVER, f"rm {BLOCK}")
    ends = [first.end(), second.end()]
    for done in ends:
        assert done.returncode == 0, told(done)
    assert (_shown(lab, "slow"), _shown(lab, "after")) == ("new\n", "new\n")
    _converge(lab, "new")


def test_two_runs_that_start_at_once_do_not_disturb_each_other(lab: Lab) -> None:
    lab.write(inventory("new"))
    runs = [lab.start("apply", "--yes") for _ in range(2)]
    ends = [run.end() for run in runs]
    for done in ends:
        assert done.returncode in (0, 4), told(done)
        if done.returncode == 4:
            assert f"run of yours is still at work on {SERVER}: root@" in done.stdout, told(done)
    assert 0 in [done.returncode for done in ends], "\n".join(map(told, ends))
    _converge(lab, "new")


def _held(lab: Lab, word: str) -> Started:
    """Start an apply, and return when it is in the middle of a change that waits for us."""
    lab.must(SERVER, f"touch {BLOCK}")
    lab.write(inventory(word))
    run = lab.start("apply", "--yes", "--limit", SERVER)
    until(
        lambda: (
            run.process.poll() is not None
            or any("restart slow.service" in found.command for found in lab.processes(SERVER))
        )
    )
    run.wait_for("unit slow.service")
    assert run.process.poll() is None, told(run.end())
    return run


def _converge(lab: Lab, word: str) -> None:
    lab.write(inventory(word))
    done = lab.crosprov("apply", "--yes")
    assert done.returncode == 0, told(done)
    _converged(lab, word)


def _converged(lab: Lab, word: str) -> None:
    again = lab.crosprov("plan", "--detailed-exitcode")
    assert again.returncode == 0, told(again)
    assert (_shown(lab, "slow"), _shown(lab, "after")) == (f"{word}\n", f"{word}\n")
    assert f"LAB_WORD={word}\n" in _lsb_release(lab)
    for host in lab.hosts:
        assert not _lock(lab, host)
        assert not list((_state(lab, host) / "restart").glob("*")), "a restart is still due"


def _state(lab: Lab, host: str) -> Path:
    if host == DUT:
        return lab.twin.stateful(DUT) / "crosprov"
    return lab.twin.upper(host) / STATE[host].strip("/")


def _lock(lab: Lab, host: str) -> bool:
    return (_state(lab, host) / "lock").exists()


def _shown(lab: Lab, name: str) -> str:
    """Give the configuration that a unit was last started with."""
    return (lab.twin.upper(SERVER) / "srv" / name).read_text()


def _lsb_release(lab: Lab) -> str:
    place = lab.twin.stateful(DUT) / "etc/lsb-release"
    return place.read_text() if place.exists() else ""

from __future__ import annotations

import pytest

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.operations import merge
from crosprov.operations.jobs import job
from tests.support.machine import Machine, summary

NAME = "update-engine"


def give(machine: Machine, state: str) -> None:
    (machine.stubs / "upstart").mkdir(exist_ok=True)
    (machine.stubs / "upstart" / NAME).write_text(f"{state}\n")


def pointed(machine: Machine, server: str) -> None:
    path = f"{machine.root}/etc/lsb-release"
    merge.settings(path, {"CHROMEOS_AUSERVER": server}, restarts=[NAME])
    job(NAME)


@pytest.mark.parametrize(
    ("state", "running", "due", "plan", "calls"),
    [
        ("start/running", True, False, [], []),
        ("stop/waiting", False, False, [], []),
        ("stop/waiting", True, False, ["~ job update-engine"], ["start"]),
        ("start/running", False, False, ["~ job update-engine"], ["stop"]),
        ("start/running", True, True, ["> job update-engine"], ["stop", "start"]),
        ("stop/waiting", True, True, ["~ job update-engine"], ["start"]),
        ("stop/waiting", False, True, ["> job update-engine"], []),
        ("start/pre-start", True, False, ["~ job update-engine"], ["stop", "start"]),
    ],
)
def test_job(
    machine: Machine, state: str, running: bool, due: bool, plan: list[str], calls: list[str]
) -> None:
    give(machine, state)
    if due:
        (machine.state_dir / "restart").mkdir(parents=True)
        (machine.state_dir / "restart" / NAME).touch()
    assert summary(machine.plan(lambda: job(NAME, running=running))) == plan
    machine.apply(lambda: job(NAME, running=running))
    assert machine.calls == [f"initctl {verb} {NAME}" for verb in calls]
    assert machine.due() == []
    assert machine.plan(lambda: job(NAME, running=running)).empty


def test_a_job_that_was_started_in_the_meantime_is_fine(machine: Machine) -> None:
    give(machine, "start/running")
    (machine.stubs / "upstart" / f"{NAME}.respawned").touch()
    machine.apply(lambda: pointed(machine, "http://192.0.2.1:8080/update"))
    assert machine.calls == [f"initctl stop {NAME}", f"initctl start {NAME}"]
    assert machine.due() == []


def test_the_process_id_is_no_part_of_what_is_observed(machine: Machine) -> None:
    give(machine, "start/running")
    first, second = (machine.plan(lambda: job(NAME)) for _ in range(2))
    assert first.digest == second.digest


def test_a_failed_start_stays_due(machine: Machine) -> None:
    give(machine, "stop/waiting")
    fails = machine.stubs / "upstart" / f"{NAME}.fails"
    fails.touch()
    with pytest.raises(ChangeFailed, match="failed to start"):
        machine.apply(lambda: pointed(machine, "http://192.0.2.1:8080/update"))
    assert machine.due() == [NAME]
    fails.unlink()
    machine.apply(lambda: pointed(machine, "http://192.0.2.1:8080/update"))
    assert machine.due() == []


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_that_is_killed_loses_no_restart(machine: Machine, after: int) -> None:
    give(machine, "start/running")
    with pytest.raises(HostSilent):
        machine.apply(lambda: pointed(machine, "http://192.0.2.1"), STUB_CRASH_AFTER=str(after))
    assert machine.due() == [NAME]
    machine.apply(lambda: pointed(machine, "http://192.0.2.1"))
    assert machine.due() == []
    assert machine.calls[-1] == f"initctl start {NAME}"
    assert machine.plan(lambda: pointed(machine, "http://192.0.2.1")).empty


def test_an_unknown_job_is_said_when_planning(machine: Machine) -> None:
    with pytest.raises(PlanError, match="does not know a job"):
        machine.plan(lambda: job(NAME))


def test_a_host_without_upstart_is_said_when_planning(machine: Machine) -> None:
    (machine.root / "bin" / "initctl").unlink()
    with pytest.raises(PlanError, match="no initctl"):
        machine.plan(lambda: job(NAME))

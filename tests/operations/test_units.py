from __future__ import annotations

from collections.abc import Callable

import pytest

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.facts.units import UnitState
from crosprov.operations import files
from crosprov.operations.units import Decision, Wish, decide, unit
from tests.support.machine import Machine, summary

U = "web.service"


def give(machine: Machine, name: str = U, **properties: str) -> None:
    folder = machine.stubs / "systemd" / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in properties.items():
        (folder / key).write_text(f"{value}\n")


def running(machine: Machine) -> None:
    give(machine, ActiveState="active", SubState="running", UnitFileState="enabled")


def has(machine: Machine, key: str) -> str:
    return (machine.stubs / "systemd" / U / key).read_text().strip()


@pytest.mark.parametrize(
    ("file", "enabled", "disabled"),
    [
        ("enabled", True, False),
        ("enabled-runtime", True, False),
        ("disabled", False, True),
        ("static", True, True),
        ("alias", True, True),
        ("indirect", True, True),
        ("generated", True, True),
        ("linked", False, True),
    ],
)
def test_what_counts_as_enabled(file: str, enabled: bool, disabled: bool) -> None:
    seen = UnitState("loaded", "active", "running", file)
    assert decide(Wish(U, True, None, None), seen, due=False).enable is not enabled
    assert decide(Wish(U, False, None, None), seen, due=False).disable is not disabled


@pytest.mark.parametrize(
    ("active", "wish", "due", "expected"),
    [
        ("active", True, False, Decision()),
        ("active", True, True, Decision(restart=True)),
        ("active", None, True, Decision(restart=True)),
        ("active", False, False, Decision(stop=True)),
        ("active", False, True, Decision(stop=True, forget=True)),
        ("reloading", True, False, Decision()),
        ("inactive", True, False, Decision(start=True)),
        ("inactive", True, True, Decision(restart=True)),
        ("inactive", None, False, Decision()),
        ("inactive", None, True, Decision(forget=True)),
        ("inactive", False, False, Decision()),
        ("failed", True, False, Decision(start=True)),
        ("failed", False, False, Decision()),
        ("activating", True, False, Decision(start=True)),
        ("activating", False, False, Decision(stop=True)),
        ("deactivating", True, False, Decision(start=True)),
    ],
)
def test_what_is_done_to_a_unit(
    active: str, wish: bool | None, due: bool, expected: Decision
) -> None:
    seen = UnitState("loaded", active, "", "enabled")
    assert decide(Wish(U, None, wish, None), seen, due=due) == expected


@pytest.mark.parametrize(
    ("active", "has_run", "starts"),
    [("inactive", True, False), ("inactive", False, True), ("failed", True, True)],
)
def test_a_oneshot_has_to_run_once(active: str, has_run: bool, starts: bool) -> None:
    seen = UnitState("loaded", active, "", "static", runs_once=True, has_run=has_run)
    assert decide(Wish(U, None, True, None), seen, due=False).start is starts


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (None, "no unit web.service"),
        ({"LoadState": "masked", "UnitFileState": "masked"}, "masked"),
        ({"LoadState": "bad-setting"}, "cannot load web.service"),
    ],
)
def test_what_cannot_run_is_said_when_planning(
    machine: Machine, properties: dict[str, str] | None, says: str
) -> None:
    if properties is not None:
        give(machine, **properties)
    with pytest.raises(PlanError, match=says):
        machine.plan(lambda: unit(U))


def test_a_masked_unit_may_be_stopped_already(machine: Machine) -> None:
    give(machine, LoadState="masked", UnitFileState="masked")
    assert machine.plan(lambda: unit(U, enabled=False, running=False)).empty


@pytest.mark.parametrize("name", ["web", "web service.service", "", "../x.service", "-x.service"])
def test_a_name_must_be_whole(machine: Machine, name: str) -> None:
    with pytest.raises(PlanError, match="full name"):
        machine.plan(lambda: unit(name))


def test_a_unit_is_enabled_and_started_once(machine: Machine) -> None:
    give(machine, UnitFileState="disabled")
    (change,) = machine.apply(lambda: unit(U))
    assert change.before == {"enabled": "disabled", "active": "inactive (dead)"}
    assert change.after == {"enabled": "enabled", "active": "active"}
    assert machine.calls == [f"systemctl enable {U}", f"systemctl start {U}"]
    assert machine.plan(lambda: unit(U)).empty


def test_one_round_trip_is_enough(machine: Machine) -> None:
    running(machine)
    assert machine.plan(lambda: unit(U)).round_trips == 1


def configured(
    machine: Machine, content: str, *, enabled: bool | None = True, running: bool | None = True
) -> Callable[[], None]:
    def wanted() -> None:
        files.file(f"{machine.root}/web.conf", content, user="root", group="root", restarts=[U])
        unit(U, enabled=enabled, running=running)

    return wanted


def test_a_changed_configuration_restarts_what_runs(machine: Machine) -> None:
    running(machine)
    changes = machine.apply(configured(machine, "a"))
    assert [str(change.resource) for change in changes] == [
        f"file {machine.root}/web.conf", f"unit {U}",
    ]  # fmt: skip
    assert changes[1].after == {"restart": "its configuration changed"}
    assert changes[1].restarts == (U,)
    assert machine.calls == [f"systemctl restart {U}"]
    assert machine.due() == []
    assert machine.plan(configured(machine, "a")).empty


def test_two_wishes_for_a_unit_restart_it_once(machine: Machine) -> None:
    running(machine)

    def wanted() -> None:
        configured(machine, "a")()
        unit(U, enabled=None, running=None)

    machine.apply(wanted)
    assert machine.calls == [f"systemctl restart {U}"]
    assert machine.plan(wanted).empty


def test_what_is_stopped_and_may_be_is_not_started(machine: Machine) -> None:
    give(machine)
    machine.apply(configured(machine, "a", enabled=None, running=None))
    assert machine.calls == []
    assert machine.due() == []


def test_a_failed_start_shows_the_journal_and_stays_due(machine: Machine) -> None:
    running(machine)
    give(machine, fails="")
    with pytest.raises(ChangeFailed, match="cannot bind"):
        machine.apply(configured(machine, "a"))
    assert machine.due() == [U]
    (machine.stubs / "systemd" / U / "fails").unlink()
    assert summary(machine.plan(configured(machine, "a"))) == [f"~ unit {U}"]
    machine.apply(configured(machine, "a"))
    assert machine.due() == []


def test_a_unit_that_dies_after_its_start_is_a_failure(machine: Machine) -> None:
    give(machine, UnitFileState="enabled", dies="")
    with pytest.raises(ChangeFailed, match="cannot bind"):
        machine.apply(lambda: unit(U))


def test_a_start_that_is_never_ready_stays_due(machine: Machine, closed_port: int) -> None:
    give(machine, UnitFileState="enabled", fails="")
    ready = f"http://127.0.0.1:{closed_port}/"
    with pytest.raises(ChangeFailed):
        machine.apply(lambda: unit(U, ready=ready))
    assert machine.due() == [U]


def test_a_start_that_is_ready_is_done(machine: Machine, web: str) -> None:
    give(machine, UnitFileState="enabled")
    (change,) = machine.apply(lambda: unit(U, ready=web))
    assert change.after["ready"] == web
    assert machine.due() == []


def test_a_unit_file_of_this_plan_is_read_before_the_start(machine: Machine) -> None:
    known = files.unit_of(f"/etc/systemd/system/{U}")
    dropped = files.unit_of(f"/etc/systemd/system/{U}.d/lab.conf")
    assert (known, dropped, files.unit_of("/etc/web.conf")) == (U, U, None)
    decision = decide(Wish(U, True, True, None), UnitState(), due=True, unknown=True, written=True)
    assert decision == Decision(reload=True, enable=True, restart=True)


def test_a_unit_that_comes_later_is_left_until_it_is_there(machine: Machine) -> None:
    assert machine.plan(lambda: unit(U, later=True)).empty
    with pytest.raises(PlanError, match="nothing in this plan brings it"):
        machine.plan(lambda: (unit(U, later=True), unit(U)))
    give(machine, UnitFileState="disabled")
    (change,) = machine.apply(lambda: (unit(U, later=True), unit(U)))
    assert change.after == {"enabled": "enabled", "active": "active"}


def test_a_file_newer_than_what_systemd_knows_is_read(machine: Machine) -> None:
    running(machine)
    give(machine, NeedDaemonReload="yes")
    machine.apply(lambda: unit(U))
    assert machine.calls == ["systemctl daemon-reload"]
    assert machine.plan(lambda: unit(U)).empty


@pytest.mark.parametrize("after", range(1, 9))
def test_a_run_that_is_killed_loses_no_restart(machine: Machine, after: int) -> None:
    give(machine, ActiveState="active", UnitFileState="disabled", NeedDaemonReload="yes")
    wanted = configured(machine, "new")
    try:
        machine.apply(wanted, STUB_CRASH_AFTER=str(after))
        died = False
    except HostSilent:
        died = True
    if died and f"systemctl restart {U}" not in machine.calls[:after]:
        assert machine.due() == [U]
    machine.apply(wanted)
    assert f"systemctl restart {U}" in machine.calls
    assert (has(machine, "ActiveState"), has(machine, "UnitFileState")) == ("active", "enabled")
    assert machine.due() == []
    assert machine.plan(wanted).empty

"""Reboots of real systems: a server with systemd, and DUTs, in the middle of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crosprov.execution.apply import Apply, Report
from crosprov.execution.events import Event, Outcome, Rebooted, Rebooting
from crosprov.execution.fleet import Fleet
from crosprov.execution.runner import ThreadRunner
from crosprov.planning.boot import BOOT_ID
from crosprov.planning.plan import Action, Change, HostPlan, Plan, Reboot, Resource, Shell
from crosprov.secrets import vault
from crosprov.session import connect
from tests.lab.labs import Lab, booted

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

STATE = {
    "server1": "/var/lib/crosprov",
    "dut01": "/mnt/stateful_partition/crosprov",
    "dut02": "/mnt/stateful_partition/crosprov",
}
INVENTORY = """\
lab: NAME
hosts:
  server1: {ssh: {host: 10.91.0.1}, common: {}}
  dut01: {ssh: {host: 10.91.0.11}, dut: {board: eve}}
  dut02: {ssh: {host: 10.91.0.12}, dut: {board: eve}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with booted(tmp_path_factory.mktemp("reboots"), INVENTORY) as lab:
        yield lab


def rebooting(lab: Lab, host: str, within: float) -> HostPlan:
    """Plan to keep the boot id, to reboot, and to find another one."""
    kept = f"{STATE[host]}/test-boot-id"
    change = Change(
        role="test", operation="test", action=Action.RUN,
        resource=Resource(kind="boot", name="next"),
        steps=(
            Shell(command=f"cat {BOOT_ID} > {kept}"),
            Reboot(within=within),
            Shell(command=f'[ "$(cat {kept})" != "$(cat {BOOT_ID})" ]'),
        ),
    )  # fmt: skip
    return HostPlan(
        host=host, roles=("test",), state_dir=STATE[host], target=lab.twin.target(host),
        changes=(change,),
    )  # fmt: skip


def applied(
    lab: Lab, *hosts: HostPlan, tell: Callable[[Event], None] = lambda event: None
) -> tuple[Report, list[Event]]:
    plan = Plan(
        crosprov="0.1.0", lab=lab.name, inventory=str(lab.inventory),
        created="2026-01-01T00:00:00Z", hosts=hosts,
    )  # fmt: skip
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        tell(event)

    with Fleet(connect) as fleet:
        return Apply(plan, fleet, ThreadRunner(8), vault, emit)(), events


def test_hosts_come_back_and_their_plans_go_on(lab: Lab) -> None:
    report, events = applied(lab, *(rebooting(lab, host, 90) for host in STATE))
    outcomes = {host.host: (host.outcome, host.message) for host in report.hosts}
    assert outcomes == {host: (Outcome.CHANGED, None) for host in STATE}
    assert {event.host for event in events if isinstance(event, Rebooted)} == set(STATE)
    for host, state in STATE.items():
        said = lab.must(host, f"cat {state}/journal; ls {state}")
        assert '"result":"reboots"' in said and '"result":"rebooted"' in said
        assert "lock" not in said.split()


def test_a_host_that_stays_away_is_named_and_the_others_go_on(lab: Lab) -> None:
    def cut_the_power(event: Event) -> None:
        if isinstance(event, Rebooting) and event.host == "dut02" and _runs(lab, "dut02"):
            lab.twin.stop("dut02")

    report, _ = applied(
        lab, rebooting(lab, "dut01", 90), rebooting(lab, "dut02", 3), tell=cut_the_power
    )
    lab.twin.start("dut02")
    there, gone = report.hosts
    assert there.outcome is Outcome.CHANGED, there.message
    assert (gone.outcome, gone.error) == (Outcome.FAILED, "HostGone")
    assert "dut02 did not come back within 3 s of its reboot" in str(gone.message)


def _runs(lab: Lab, host: str) -> bool:
    return next(twin.running for twin in lab.twin.list() if twin.name == host)

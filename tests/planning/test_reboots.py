"""Reboots in the plan of a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api import deploy

from crosprov.errors import PlanError
from crosprov.operations.note import Commands, Note
from crosprov.operations.operation import operation
from crosprov.operations.reboots import reboot
from crosprov.planning.engine import RoleDeploy
from crosprov.planning.plan import Action, HostPlan
from crosprov.planning.planner import HostModel, propose
from crosprov.transport.base import SshTarget
from crosprov.transport.local import LocalTransport


@operation
def rebooted(ask: bool, /) -> Commands:
    """Reboot in any case."""
    yield reboot(ask=ask, note=Note("build", "2", Action.RUN))


def planned(folder: Path, *ask: bool, local: bool = False) -> HostPlan:
    def wanted() -> None:
        for each in ask:
            rebooted(each)

    deploys = [RoleDeploy("test", deploy("test")(wanted))]
    target = SshTarget("h1", "192.0.2.1", local=local)
    model = HostModel("h1", deploys, target, str(folder / "state"))
    return propose(model, LocalTransport("h1", sudo=False))


@pytest.mark.parametrize(
    ("ask", "asks"), [((), False), ((False,), False), ((True,), True), ((False, True), True)]
)
def test_a_plan_tells_whether_to_ask(tmp_path: Path, ask: tuple[bool, ...], asks: bool) -> None:
    plan = planned(tmp_path, *ask)
    assert plan.asks_to_reboot is asks
    assert [each.ask for each in plan.reboots] == list(ask)


def test_a_controller_does_not_reboot_itself(tmp_path: Path) -> None:
    assert planned(tmp_path, local=True).empty
    with pytest.raises(PlanError, match="h1 is this machine, and build 2 would reboot it"):
        planned(tmp_path, True, local=True)

"""Which observations a plan rests on."""

from __future__ import annotations

from pathlib import Path

from pyinfra import host
from pyinfra.api import FactBase, deploy

from crosprov.operations.effects import effects
from crosprov.planning.engine import RoleDeploy
from crosprov.planning.planner import HostModel, changed_facts, propose
from crosprov.transport.base import SshTarget
from crosprov.transport.local import LocalTransport


class Content(FactBase[str]):
    """What a file holds."""

    title = "content"

    def command(self, path: str) -> str:
        return f"cat {path}"

    def process(self, output: list[str]) -> str:
        return output[0]


class Age(Content):
    """What changes by itself, and is for people."""

    title = "age"
    decides = False

    def command(self, path: str) -> str:
        return f"cat <{path}"


def test_what_decides_nothing_is_shown_and_does_not_make_a_plan_stale(tmp_path: Path) -> None:
    decisive, age = tmp_path / "decisive", tmp_path / "age"
    decisive.write_text("one\n")
    age.write_text("a day\n")

    def wanted() -> None:
        effects().about["age"] = host.get_fact(Age, path=str(age))
        host.get_fact(Content, path=str(decisive))

    target = SshTarget("h1", "192.0.2.1")
    deploys = [RoleDeploy("test", deploy("test")(wanted))]
    transport = LocalTransport("h1", sudo=False)
    plan = propose(HostModel("h1", deploys, target, str(tmp_path / "state")), transport)
    assert plan.about == {"age": "a day"}
    assert [one.fact for one in plan.observed] == [f"content {decisive}"]
    age.write_text("two days\n")
    assert changed_facts(plan, transport) == ()
    decisive.write_text("two\n")
    assert changed_facts(plan, transport) == (f"content {decisive}",)

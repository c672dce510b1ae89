"""Consent to reboots: asked apart from the plan, or given beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from crosprov import session as sessions
from crosprov.cli import apply
from crosprov.cli.options import Format
from crosprov.execution.apply import Report
from crosprov.planning.plan import Action, Change, HostPlan, Plan, Reboot, Resource
from crosprov.planning.planfile import save
from crosprov.secrets import vault
from crosprov.session import Session
from crosprov.transport.base import SshTarget


def rebooting(name: str, *, ask: bool) -> HostPlan:
    change = Change(
        role="dut", operation="test", action=Action.UPDATE,
        resource=Resource(kind="build", name="2"), steps=(Reboot(ask=ask),),
    )  # fmt: skip
    return HostPlan(
        host=name, roles=("dut",), state_dir="/s", target=SshTarget(name, name), changes=(change,)
    )


def plan_of(*hosts: HostPlan) -> Plan:
    return Plan(
        crosprov="0.1.0", lab="lab", inventory="/lab.yml", created="2026-01-01T00:00:00Z",
        hosts=hosts,
    )  # fmt: skip


ASKING = plan_of(
    rebooting("dut1", ask=True), rebooting("dut2", ask=False), rebooting("dut3", ask=True)
)
ALLOWED = plan_of(rebooting("dut2", ask=False))


class Person:
    """Somebody at a terminal, who answers questions in their order, and then no more."""

    def __init__(self, answers: str) -> None:
        self.answers = iter(answers)
        self.asked: list[str] = []

    def confirm(self, question: str, default: bool = False) -> bool:
        self.asked.append(question)
        return next(self.answers) == "y"


class Lab:
    """Stands in for a session: gives a plan, and notes whether it was applied."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.chosen = [host.host for host in plan.hosts]
        self.applied = False
        self.stop = SimpleNamespace(is_set=lambda: False)

    @contextlib.contextmanager
    def fleet(self) -> Iterator[None]:
        yield None

    def plan(self, fleet: object, emit: object) -> Plan:
        return self._plan

    def apply(self, plan: Plan, fleet: object, emit: object, *, check_first: bool) -> Report:
        self.applied = True
        return Report(lab="lab", run="r", by="me", hosts=())


def at_terminal(monkeypatch: pytest.MonkeyPatch, answers: str) -> Person:
    person = Person(answers)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("typer.confirm", person.confirm)
    return person


@pytest.mark.parametrize(
    ("plan", "answers", "questions", "applied"),
    [
        (ASKING, "yy", 2, True),
        (ASKING, "yn", 2, False),
        (ASKING, "n", 1, False),
        (ALLOWED, "y", 1, True),
    ],
)
def test_a_person_is_asked_for_reboots_apart_from_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    plan: Plan, answers: str, questions: int, applied: bool,
) -> None:  # fmt: skip
    person, lab = at_terminal(monkeypatch, answers), Lab(plan)
    assert apply._apply_inventory(cast(Session, lab), False, False, Format.text, False) == 0
    assert lab.applied is applied
    assert len(person.asked) == questions
    if questions == 2:
        assert person.asked[1] == "This reboots dut1, dut3. Go on?"
    assert ("nothing was changed" in capsys.readouterr().out) is not applied


def test_who_says_no_is_told_how_to_do_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_terminal(monkeypatch, "yn")
    apply._apply_inventory(cast(Session, Lab(ASKING)), False, False, Format.text, False)
    told = capsys.readouterr().out.splitlines()[-1]
    assert "`reboot: never` for dut1, dut3" in told and "--limit '!dut1,!dut3'" in told


def test_yes_is_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    person, lab = at_terminal(monkeypatch, ""), Lab(ASKING)
    apply._apply_inventory(cast(Session, lab), True, False, Format.text, False)
    assert lab.applied and person.asked == []


def deleting(name: str, data: str) -> HostPlan:
    change = Change(
        role="factory_server", operation="test", action=Action.DELETE, destroys=data,
        resource=Resource(kind="project", name="eve"),
    )  # fmt: skip
    return rebooting(name, ask=False).model_copy(update={"changes": (change,)})


@pytest.mark.parametrize(
    ("answers", "questions", "applied"), [("yyy", 3, True), ("yyn", 3, False), ("yn", 2, False)]
)
def test_a_person_is_asked_for_each_host_that_loses_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    answers: str, questions: int, applied: bool,
) -> None:  # fmt: skip
    plan = plan_of(deleting("factory1", "/a/umpire/eve"), deleting("factory2", "/b/umpire/eve"))
    person, lab = at_terminal(monkeypatch, answers), Lab(plan)
    assert apply._apply_inventory(cast(Session, lab), False, False, Format.text, False) == 0
    assert lab.applied is applied
    assert len(person.asked) == questions
    assert person.asked[1] == "This deletes /a/umpire/eve on factory1, for good. Go on?"
    assert ("delete_data" in capsys.readouterr().out) is not applied


def test_a_saved_plan_is_consent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(ASKING, tmp_path / "saved", vault)
    person = at_terminal(monkeypatch, "y")
    done: list[Plan] = []

    def apply_saved(plan: Plan, emit: object, **options: object) -> Report:
        done.append(plan)
        return Report(lab="lab", run="r", by="me", hosts=())

    monkeypatch.setattr(sessions, "apply_saved", apply_saved)
    apply._apply_file(tmp_path / "saved", False, False, 1, Format.text, False)
    assert len(person.asked) == 1 and done[0].hosts == ASKING.hosts

"""Reboots in the middle of a plan: waited for, told apart from a host that is gone, and undone."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import HostBusy, HostKeyRejected
from crosprov.execution import executor, rebooting
from crosprov.execution.apply import Apply, HostReport
from crosprov.execution.events import (
    ChangeDone,
    ChangeStarted,
    Event,
    Finished,
    Outcome,
    Rebooted,
    Rebooting,
    Verified,
    WaveOpened,
)
from crosprov.execution.fleet import Fleet
from crosprov.execution.parts import parts
from crosprov.execution.runner import ThreadRunner
from crosprov.execution.script import Script
from crosprov.planning.plan import Action, Change, HostPlan, Reboot, Resource, Shell, Step
from crosprov.planning.planner import HostModel
from crosprov.secrets import vault
from crosprov.transport.base import SshTarget, Transport
from crosprov.transport.ssh import connect
from tests.execution.labor import lab_of, plan_of, shell, wait_for
from tests.support import reboots
from tests.support.reboots import Rebootable, RebootingTransport
from tests.support.sshd import MISSING, installed, sshd


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody longer than these tests need."""
    monkeypatch.setattr(executor, "_LAST_WORDS", 0.3)
    monkeypatch.setattr(rebooting, "_PAUSE", 0.05)


def change(name: str, *steps: Step | str) -> Change:
    """Make a change of shell commands and reboots."""
    return Change(
        role="common", operation="test", action=Action.UPDATE,
        resource=Resource(kind="build", name=name),
        steps=tuple(Shell(command=s) if isinstance(s, str) else s for s in steps),
    )  # fmt: skip


def applied(
    reach: Callable[[SshTarget], Transport],
    plan: HostPlan,
    *,
    tell: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> tuple[HostReport, list[Event]]:
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        tell(event)

    with Fleet(reach) as fleet:
        report = Apply(
            lab_of(plan), fleet, ThreadRunner(1), vault, emit, stop=stop or threading.Event()
        )()
    return report.hosts[0], events


def journal(state: Path) -> list[tuple[str, str]]:
    entries = [json.loads(line) for line in (state / "journal").read_text().splitlines()]
    return [(entry["resource"], entry["result"]) for entry in entries]


SOON = Reboot(within=20)


def test_a_plan_goes_on_after_the_reboot(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host", refusals=2)
    log, boot = tmp_path / "log", tmp_path / "host/boot_id"
    plan = plan_of(
        tmp_path / "s",
        shell("first", f"echo first >> {log}"),
        change("b", f"echo before >> {log}", SOON, f"cat {boot} >> {log}"),
        shell("last", f"echo last >> {log}"),
    )
    report, events = applied(host.connect, plan)
    assert report.outcome is Outcome.CHANGED, report.message
    assert log.read_text().split() == ["first", "before", "second", "last"]
    assert [(type(e), e.number) for e in events if isinstance(e, ChangeStarted | ChangeDone)] == [
        (kind, number) for number in (1, 2, 3) for kind in (ChangeStarted, ChangeDone)
    ]
    assert any(isinstance(e, Rebooting) for e in events)
    assert sum(isinstance(e, Rebooted) for e in events) == 1
    assert journal(tmp_path / "s") == [
        ("test first", "done"), ("build b", "reboots"), ("build b", "rebooted"),
        ("build b", "done"), ("test last", "done"),
    ]  # fmt: skip
    assert not (tmp_path / "s/lock").exists()


def test_a_reboot_costs_a_script_and_a_question(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host")
    report, _ = applied(host.connect, plan_of(tmp_path / "s", change("b", "true", SOON, "true")))
    assert report.round_trips == 3
    assert host.connections == 2


@pytest.mark.parametrize(
    "steps",
    [(SOON,), (SOON, "true"), ("true", SOON), (SOON, SOON), ("true", SOON, "true", SOON, "true")],
    ids=["only", "first", "last", "two at once", "two"],
)
def test_a_reboot_may_stand_anywhere(tmp_path: Path, steps: tuple[Step | str, ...]) -> None:
    count = "{folder}/count"
    again = f"echo x >> {count}; cat {count} | wc -l > {{folder}}/boot_id; kill -9 0"
    host = Rebootable(tmp_path / "host", reboot=again)
    plan = plan_of(tmp_path / "s", change("b", *steps), shell("last", f"touch {tmp_path}/last"))
    report, _ = applied(host.connect, plan)
    assert report.outcome is Outcome.CHANGED, report.message
    assert (tmp_path / "last").exists()
    told = (tmp_path / "host/count").read_text().count("x")
    assert told == sum(step == SOON for step in steps)


def test_a_change_that_fails_after_the_reboot_is_reported_as_such(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host")
    plan = plan_of(
        tmp_path / "s", shell("first", "true"),
        change("b", SOON, "echo 'it runs the old version' >&2; exit 3"), shell("last", "true"),
    )  # fmt: skip
    report, _ = applied(host.connect, plan)
    assert (report.outcome, report.error) == (Outcome.FAILED, "ChangeFailed")
    assert "build b" in str(report.message) and "it runs the old version" in str(report.message)
    assert [done.resource for done in report.done] == ["test first"]
    assert journal(tmp_path / "s")[-1] == ("build b", "failed")


BACK_WITH_THE_SAME = "kill -9 0"

TROUBLES = [
    # what `reboot` does, how often who connects is refused, the error, its words
    (reboots.REBOOTS, 10**6, "HostGone", ["did not come back within 1 s", "no route to host",
                                          "1 of 2 changes done before, build b under way"]),
    ("exit 0", 0, "ChangeFailed", ["was told to reboot", "answered all the time"]),
    (BACK_WITH_THE_SAME, 2, "ChangeFailed", ["was told to reboot", "was away for a while"]),
    ("echo 'not now' >&2; exit 5", 0, "ChangeFailed", ["status 5", "not now"]),
]  # fmt: skip


@pytest.mark.parametrize(("does", "refusals", "error", "words"), TROUBLES)
def test_what_can_go_wrong_is_told_apart(
    tmp_path: Path, does: str, refusals: int, error: str, words: list[str]
) -> None:
    host = Rebootable(tmp_path / "host", reboot=does, refusals=refusals)
    plan = plan_of(
        tmp_path / "s", shell("first", "true"),
        change("b", Reboot(within=1), f"touch {tmp_path}/never"),
    )  # fmt: skip
    report, _ = applied(host.connect, plan)
    assert (report.outcome, report.error) == (Outcome.FAILED, error), report.message
    assert all(word in str(report.message) for word in words), report.message
    assert report.hint and [done.resource for done in report.done] == ["test first"]
    assert not (tmp_path / "never").exists()


def test_ctrl_c_ends_the_waiting(tmp_path: Path) -> None:
    stop = threading.Event()
    host = Rebootable(tmp_path / "host", refusals=10**6, told=stop.set)
    plan = plan_of(tmp_path / "s", change("b", Reboot(within=300), f"touch {tmp_path}/never"))
    report, _ = applied(host.connect, plan, stop=stop)
    assert report.outcome is Outcome.INTERRUPTED
    assert "stopped while it reboots" in str(report.message)
    assert not (tmp_path / "never").exists()


def test_nobody_reboots_a_host_that_nobody_listens_to(tmp_path: Path) -> None:
    reboots.prepare(tmp_path / "host")
    begun, go = tmp_path / "begun", tmp_path / "go"
    waits = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done"
    plan = plan_of(tmp_path / "s", change("b", waits, SOON))
    process = subprocess.Popen(
        ["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={"PATH": f"{tmp_path}/host/bin:/usr/bin:/bin"},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(Script(plan, "me", "r").text(vault))
    process.stdin.close()
    wait_for(begun)
    process.stdout.close()
    go.touch()
    assert process.wait(timeout=20) == 9
    assert not (tmp_path / "host/told").exists()
    assert not (tmp_path / "s/lock").exists()


def test_somebody_else_may_be_at_work_after_the_reboot(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host")
    lock = tmp_path / "s/lock"

    def tell(event: Event) -> None:
        if isinstance(event, Rebooted):  # another run was quicker; this test's process lives
            start = Path("/proc/self/stat").read_text().split()
            lock.mkdir(exist_ok=True)
            (lock / "owner").write_text(f"{start[0]} {start[21]} second ann@desk\n")

    plan = plan_of(tmp_path / "s", change("b", SOON, "true"))
    report, _ = applied(host.connect, plan, tell=tell)
    assert report.error == HostBusy.__name__ and "ann@desk" in str(report.message)
    assert "goes on from there" in str(report.hint)


def test_another_host_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host")

    def reach(target: SshTarget) -> Transport:
        if host.told_to_reboot:
            raise HostKeyRejected(target.name, "its host key is another one")
        return host.connect(target)

    plan = plan_of(tmp_path / "s", change("b", Reboot(within=300), f"touch {tmp_path}/never"))
    report, _ = applied(reach, plan)
    assert (report.outcome, report.error) == (Outcome.FAILED, "HostKeyRejected")
    assert not (tmp_path / "never").exists()


def test_the_gate_and_the_proof_come_after_the_reboot(tmp_path: Path) -> None:
    host = Rebootable(tmp_path / "host")
    first = plan_of(tmp_path / "s", change("b", "true", SOON))
    second = plan_of(tmp_path / "t", shell("x", "true"), host="h2", needs=("h1",))
    models = {"h1": lambda: HostModel("h1", [], first.target, first.state_dir)}
    events: list[Event] = []
    with Fleet(host.connect) as fleet:
        report = Apply(
            lab_of(second, first), fleet, ThreadRunner(2), vault, events.append, models=models
        )()
    assert report.converged
    told = [type(e) for e in events if e.host == "h1"]
    assert told.index(Rebooted) < told.index(Verified) < told.index(Finished)
    begun = next(n for n, e in enumerate(events) if e.host == "h2" and isinstance(e, WaveOpened))
    assert events.index(next(e for e in events if isinstance(e, Verified))) < begun


def test_over_ssh_a_host_that_does_not_reboot_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed():
        pytest.skip(MISSING)
    monkeypatch.setenv("HOME", str(tmp_path))
    reboots.prepare(tmp_path / "host", "exit 0")
    with sshd(tmp_path / "sshd") as server:
        report, _ = applied(
            lambda target: RebootingTransport(connect(server.target()), tmp_path / "host"),
            plan_of(tmp_path / "s", change("b", Reboot(within=1), f"touch {tmp_path}/never")),
        )
    assert report.error == "ChangeFailed" and "was told to reboot" in str(report.message)
    assert not (tmp_path / "never").exists()


def test_over_ssh_a_host_goes_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed():
        pytest.skip(MISSING)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "host"
    with sshd(tmp_path / "sshd") as server, reboots.rebooting(server, folder):
        plan = plan_of(
            tmp_path / "s", change("b", "true", SOON, f"cat {folder}/boot_id > {tmp_path}/seen")
        )
        report, events = applied(
            lambda target: RebootingTransport(connect(server.target()), folder), plan
        )
    assert report.outcome is Outcome.CHANGED, report.message
    assert (tmp_path / "seen").read_text() == "second\n"
    assert any(isinstance(event, Rebooted) for event in events)


STEPS = st.lists(st.one_of(st.just(SOON), st.integers(0, 9).map(lambda n: Shell(command=f"{n}"))))


@given(st.lists(STEPS, min_size=1, max_size=6))
def test_any_split_keeps_the_order_of_all_steps(wanted: list[list[Reboot | Shell]]) -> None:
    changes = tuple(change(f"c{n}", *steps) for n, steps in enumerate(wanted))
    made = parts(plan_of(Path("/s"), *changes))
    flat: list[tuple[int, Step]] = []
    for part in made:
        flat += [(piece.number, step) for piece in part.pieces for step in piece.steps]
        if part.reboot is not None:
            flat.append((part.pieces[-1].number, part.reboot))
    assert flat == [(n, step) for n, steps in enumerate(wanted) for step in steps]
    assert [part.reboot is None for part in made] == [False] * (len(made) - 1) + [True]
    pieces = [piece for part in made for piece in part.pieces]
    assert [p.number for p in pieces if p.begins] == list(range(len(wanted)))
    assert [p.number for p in pieces if p.ends] == list(range(len(wanted)))
    assert all(part.pieces for part in made)

"""Runs of several hosts: order, gates, failures that stay where they are."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from crosprov.errors import StalePlan, Unreachable
from crosprov.execution.apply import Apply, Report
from crosprov.execution.events import Blocked, ChangeStarted, Event, Outcome
from crosprov.execution.fleet import Fleet
from crosprov.execution.runner import ThreadRunner
from crosprov.planning.plan import HostPlan, Observation, Readiness
from crosprov.secrets import vault
from crosprov.transport.base import SshTarget, Transport
from crosprov.transport.local import LocalTransport
from tests.execution.labor import lab_of, plan_of, shell
from tests.support.serving import serving


def connect(target: SshTarget) -> Transport:
    """Reach every host on this machine, except those named `gone…`."""
    if target.name.startswith("gone"):
        raise Unreachable(target.name, f"{target.name} does not answer")
    return LocalTransport(target.name)


def applied(*hosts: HostPlan, check_first: bool = False) -> tuple[Report, list[Event]]:
    events: list[Event] = []
    with Fleet(connect) as fleet:
        report = Apply(
            lab_of(*hosts), fleet, ThreadRunner(8), vault, events.append,
            check_first=check_first, ready_within=1.5,
        )()  # fmt: skip
    return report, events


def outcomes(report: Report) -> dict[str, Outcome]:
    return {host.host: host.outcome for host in report.hosts}


def test_a_host_waits_for_those_it_needs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    hosts = [
        plan_of(tmp_path / "c", shell("c", f"echo c >> {log}"), host="c", needs=("b",)),
        plan_of(tmp_path / "b", shell("b", f"sleep 0.2; echo b >> {log}"), host="b", needs=("a",)),
        plan_of(tmp_path / "a", shell("a", f"sleep 0.2; echo a >> {log}"), host="a"),
    ]
    report, _ = applied(*hosts)
    assert log.read_text().split() == ["a", "b", "c"]
    assert report.converged
    assert [host.host for host in report.hosts] == ["c", "b", "a"]


def test_a_failure_blocks_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    hosts = [
        plan_of(tmp_path / "1", shell("x", "exit 1"), host="dev1"),
        plan_of(tmp_path / "2", shell("x", f"touch {tmp_path}/dut1"), host="dut1", needs=("dev1",)),
        plan_of(tmp_path / "3", shell("x", "true"), host="dut2", needs=("dut1",)),
        plan_of(tmp_path / "4", shell("x", "true"), host="other"),
        plan_of(tmp_path / "5", shell("x", "true"), host="gone1"),
        plan_of(tmp_path / "6", host="dut3", needs=("dev1",)),
    ]
    report, events = applied(*hosts)
    assert outcomes(report) == {
        "dev1": Outcome.FAILED,
        "dut1": Outcome.BLOCKED,
        "dut2": Outcome.BLOCKED,
        "other": Outcome.CHANGED,
        "gone1": Outcome.FAILED,
        "dut3": Outcome.UNCHANGED,
    }
    assert not (tmp_path / "dut1").exists()
    assert {e.host: e.by for e in events if isinstance(e, Blocked)} == {
        "dut1": "dev1",
        "dut2": "dut1",
    }
    assert not report.converged


class Answer(BaseHTTPRequestHandler):
    """Answer the first questions with 503, later ones with 200."""

    refusals = 0

    def do_GET(self) -> None:
        type(self).refusals -= 1
        self.send_response(503 if type(self).refusals >= 0 else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.mark.parametrize(("refusals", "opens"), [(0, True), (1, True), (10**6, False)])
def test_a_gate_opens_on_the_answer_and_not_before(
    tmp_path: Path, refusals: int, opens: bool
) -> None:
    Answer.refusals = refusals
    with serving(HTTPServer(("127.0.0.1", 0), Answer)) as server:
        gate = (Readiness(port=server.server_port, path="/check_health"),)
        report, events = applied(
            plan_of(tmp_path / "1", host="dev1", readiness=gate),
            plan_of(tmp_path / "2", shell("x", "true"), host="dut1", needs=("dev1",)),
        )
    assert any(isinstance(e, ChangeStarted) for e in events) is opens
    if not opens:
        assert outcomes(report) == {"dev1": Outcome.FAILED, "dut1": Outcome.BLOCKED}
        assert "503" in str(report.hosts[0].message)


def test_nobody_is_asked_when_nothing_is_to_do(tmp_path: Path) -> None:
    gate = (Readiness(port=1, path="/"),)
    report, _ = applied(
        plan_of(tmp_path / "1", host="dev1", readiness=gate),
        plan_of(tmp_path / "2", host="dut1", needs=("dev1",)),
    )
    assert set(outcomes(report).values()) == {Outcome.UNCHANGED}
    assert report.round_trips == 0


def test_a_host_that_changed_since_the_plan_stops_everything(tmp_path: Path) -> None:
    seen = Observation(fact="path /etc/x", command="echo now", digest="0" * 64)
    stale = plan_of(tmp_path / "1", shell("x", f"touch {tmp_path}/x"))
    stale = stale.model_copy(update={"observed": (seen,)})
    with pytest.raises(StalePlan, match="no longer looks as it did.*path /etc/x"):
        applied(plan_of(tmp_path / "2", shell("y", f"touch {tmp_path}/y"), host="h2"), stale,
                check_first=True)  # fmt: skip
    assert not (tmp_path / "x").exists() and not (tmp_path / "y").exists()


def test_at_most_so_many_hosts_at_once() -> None:
    now, most, lock = 0, 0, threading.Lock()
    barrier = threading.Event()

    def work(name: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == 3:
                barrier.set()
        barrier.wait(10)
        with lock:
            now -= 1
        return name

    names = [f"h{n}" for n in range(9)]
    assert list(ThreadRunner(3).run({n: () for n in names}, work)) == names
    assert most == 3

"""The end of a run, and a status, as people read them."""

from __future__ import annotations

import json

from crosprov.execution.apply import ChangeReport, HostReport, Report
from crosprov.execution.events import Outcome
from crosprov.planning.plan import Plan
from crosprov.report import run_text, status
from tests.report.test_plan_text import FILE, host, plan


def report(*hosts: HostReport) -> Report:
    return Report(lab="demo", run="r1", by="me@here", hosts=hosts)


DONE = (ChangeReport(resource="file /etc/x", action="create"),)


def test_a_good_end() -> None:
    text = run_text.render(
        report(
            HostReport(host="a", outcome=Outcome.CHANGED, done=DONE, round_trips=3),
            HostReport(host="b", outcome=Outcome.UNCHANGED, round_trips=1),
        )
    )
    assert text == (
        "    unchanged  b\n"
        "      changed  a\n"
        "Done: 1 change; a second plan of the changed hosts is empty (4 round trips)\n"
    )


def test_the_end_of_a_saved_plan_claims_no_proof() -> None:
    done = report(HostReport(host="a", outcome=Outcome.CHANGED, done=DONE, round_trips=2))
    text = run_text.render(done.model_copy(update={"verified": False}))
    assert text.endswith("Done: 1 change, all that was in the plan (2 round trips)\n")


def test_a_bad_end_says_why_for_each_host() -> None:
    text = run_text.render(
        report(
            HostReport(host="dev1", outcome=Outcome.FAILED, message="its disk is full", hint="h"),
            HostReport(host="dut1", outcome=Outcome.BLOCKED, blocked_by="dev1"),
            HostReport(host="x", outcome=Outcome.NOT_CONVERGED, done=DONE, left=DONE),
        )
    )
    assert "dev1: its disk is full\n  hint: h\n" in text
    assert "dut1: left untouched, because it needs dev1\n" in text
    assert "x: after its changes there is still to do: create file /etc/x\n" in text
    assert "Not done: 3 hosts of 3 not as the inventory says, 1 change carried out" in text


def test_nothing_to_do_at_the_end() -> None:
    done = report(HostReport(host="a", outcome=Outcome.UNCHANGED, round_trips=1))
    assert run_text.render(done).endswith(
        "Nothing to do: 1 host as the inventory says (1 round trip)\n"
    )


def seen(made: Plan, unready: dict[str, tuple[str, ...]]) -> status.LabStatus:
    return status.status_of(made, unready)


def test_a_status_names_drift_and_health() -> None:
    found = seen(plan(host("a", FILE), host("b"), host("c")), {"b": ("port 80: it answered 503",)})
    assert found.exit_code == 2
    assert status.render(found) == (
        "a  drift        common, mirror\n"
        "     update file /etc/motd\n"
        "b  not ready    common, mirror\n"
        "     not ready: port 80: it answered 503\n"
        "c  in order     common, mirror\n"
        "1 of 3 hosts in order\n"
    )


def test_a_status_shows_what_a_host_is_about() -> None:
    about = {"board": "eve", "release version": "15662.0.0"}
    found = seen(plan(host("dut1", FILE, about=about), host("b")), {})
    assert status.render(found) == (
        "dut1  drift        common, mirror\n"
        "        board            eve\n"
        "        release version  15662.0.0\n"
        "        update file /etc/motd\n"
        "b     in order     common, mirror\n"
        "1 of 2 hosts in order\n"
    )
    assert json.loads(found.model_dump_json())["hosts"][0]["about"] == about


def test_a_lab_in_order_exits_with_0() -> None:
    assert seen(plan(host("a")), {}).exit_code == 0

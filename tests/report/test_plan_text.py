"""A plan as people read it."""

from __future__ import annotations

import pytest

from crosprov.planning.plan import (
    Action,
    Change,
    HostFailure,
    HostPlan,
    Plan,
    Reboot,
    Resource,
    Shell,
)
from crosprov.planning.preamble import PROGRESS
from crosprov.report.plan_text import render
from crosprov.report.style import Style
from crosprov.transport.base import SshTarget


def change(kind: str, name: str, action: Action, **more: object) -> Change:
    return Change.model_validate(
        {
            "role": "common", "operation": "test", "action": action,
            "resource": Resource(kind=kind, name=name),
            "steps": (Shell(command="do it"),), **more,
        }
    )  # fmt: skip


def host(
    name: str,
    *changes: Change,
    notices: tuple[str, ...] = (),
    about: dict[str, str] | None = None,
) -> HostPlan:
    return HostPlan(
        host=name, roles=("common", "mirror"), state_dir="/s", target=SshTarget(name, name),
        changes=changes, notices=notices, about=about or {}, round_trips=1,
    )  # fmt: skip


def plan(*hosts: HostPlan, failures: tuple[HostFailure, ...] = ()) -> Plan:
    return Plan(
        crosprov="0.1.0", lab="demo", inventory="/lab.yml", created="2026-01-01T00:00:00Z",
        hosts=hosts, failures=failures,
    )  # fmt: skip


FILE = change(
    "file", "/etc/motd", Action.UPDATE, diff="@@ -1 +1 @@\n-old\n+new",
    before={"mode": "0600"}, after={"mode": "0644", "owner": "root:root"},
    restarts=("motd.service",),
)  # fmt: skip


def test_a_plan_reads_like_this() -> None:
    made = plan(
        host("mirror1", FILE, notices=("stage is not carried out",)),
        host("dev1"),
        failures=(HostFailure(host="dut01", error="Unreachable", message="it does not answer",
                              hint="is it on?"),),
    )  # fmt: skip
    assert render(made) == (
        "mirror1  (common, mirror): 1 change\n"
        "  ! stage is not carried out\n"
        "  ~ file /etc/motd  (restarts motd.service)\n"
        "      mode: 0600 → 0644\n"
        "      owner: root:root\n"
        "      @@ -1 +1 @@\n"
        "      -old\n"
        "      +new\n"
        "\n"
        "dut01: it does not answer\n"
        "  hint: is it on?\n"
        "\n"
        "nothing to do on dev1\n"
        "Plan: 1 to update on 1 host; 1 host could not be planned (2 round trips to 2 hosts)\n"
    )


UPDATE = change(
    "build", "eve/R121", Action.UPDATE, before={"version": "1"}, after={"version": "2"},
    steps=(Shell(command=f"{PROGRESS}update"), Reboot(within=600), Shell(command="look")),
)  # fmt: skip


def test_a_reboot_has_a_line_of_its_own_and_is_counted() -> None:
    text = render(plan(host("dut1", UPDATE), host("dut2", UPDATE), host("dev1", FILE)))
    assert (
        "  ~ build eve/R121\n      version: 1 → 2\n      ! reboots the host (waits 600 s for it)\n"
    ) in text
    assert "Plan: 3 to update on 3 hosts, with 2 reboots (3 round trips to 3 hosts)\n" in text
    assert "reboot" not in render(plan(host("dev1", FILE)))


def test_the_steps_of_a_reboot_are_shown_when_people_ask() -> None:
    text = render(plan(host("dut1", UPDATE)), verbose=True)
    assert (
        "      $ update\n"
        "      $ reboot, and wait 600 s for another boot id\n"
        "      $ look\n"
    ) in text  # fmt: skip


def test_what_a_host_is_about_is_shown_when_people_ask() -> None:
    made = plan(host("dut1", about={"board": "eve", "release version": "1.2"}), host("dut2"))
    assert "eve" not in render(made)
    assert render(made, verbose=True).startswith(
        "dut1  (common, mirror): nothing to do\n"
        "  board            eve\n"
        "  release version  1.2\n"
        "\n"
        "nothing to do on dut2\n"
    )


def test_hosts_whose_changes_read_the_same_are_shown_once() -> None:
    text = render(plan(*(host(f"dut{n:02}", FILE) for n in range(1, 41))))
    assert text.count("/etc/motd") == 1
    assert text.startswith(
        "dut01, dut02, dut03, dut04, … dut40 (40 hosts)  (common, mirror, all alike): 1 change\n"
    )
    assert "40 to update on 40 hosts" in text


def test_nothing_to_do_is_news() -> None:
    assert render(plan(host("a"), host("b"))) == (
        "nothing to do on a, b\nPlan: nothing to do (2 round trips to 2 hosts)\n"
    )


@pytest.mark.parametrize(("action", "more"), [(Action.UPDATE, 160), (Action.CREATE, 185)])
def test_a_long_diff_is_folded_until_people_ask(action: Action, more: int) -> None:
    lines = "\n".join(f"+line {n}" for n in range(200))
    made = plan(host("a", change("file", "/etc/x", action, diff=lines)))
    assert "line 199" not in render(made) and f"{more} more lines" in render(made)
    assert "line 199" in render(made, verbose=True)


def test_commands_are_shown_when_people_ask() -> None:
    assert "$ do it" not in render(plan(host("a", FILE)))
    assert "$ do it" in render(plan(host("a", FILE)), verbose=True)


def test_colour_carries_nothing_that_the_text_does_not() -> None:
    import re

    made = plan(host("mirror1", FILE), host("dev1"))
    coloured = render(made, Style(colour=True))
    assert "\033[" in coloured
    assert re.sub(r"\033\[\d+m", "", coloured) == render(made)


def test_each_action_has_a_mark_of_its_own() -> None:
    text = render(plan(host("a", *(change("test", a.value, a) for a in Action))))
    for mark, action in zip("+~->", Action, strict=True):
        assert f"  {mark} test {action.value}" in text

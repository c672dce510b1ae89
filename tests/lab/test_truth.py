"""A plan writes nothing and is true; an apply does what the plan lists, all of it, and no more."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.lab.conftest import BY_ITSELF, Story
from tests.lab.labs import NOISE, Disk, Lab, demo, differences, told

pytestmark = pytest.mark.lab

HOSTS = ("mirror1", "dev1", "factory1", "dut01", "dut02")
SERVERS = HOSTS[:3]
RECORDS = "var/lib/crosprov"
RECORDS_OF_A_DUT = "stateful:crosprov"
MOTD = "This host belongs to the demo lab."


def changed(before: dict[str, Disk], after: dict[str, Disk]) -> dict[str, list[str]]:
    """Name what differs on the hosts where anything does."""
    both = {host: differences(before[host], after[host]) for host in before}
    return {host: paths for host, paths in both.items() if paths}


def resources(plan: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """List action and resource of each change, by host."""
    return {
        host["host"]: [
            (change["action"], f"{change['resource']['kind']} {change['resource']['name']}")
            for change in host["changes"]
        ]
        for host in plan["hosts"]
        if host["changes"]
    }


def done(report: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {
        host["host"]: [(change["action"], change["resource"]) for change in host["done"]]
        for host in report["hosts"]
        if host["done"]
    }


def schema_of(lab: Lab, document: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(lab.program("schema", "--of", document).stdout)
    return loaded


def test_a_plan_writes_nothing(story: Story) -> None:
    assert set(story.fresh) == set(HOSTS)
    assert changed(story.fresh, story.asked) == {}


def test_a_plan_of_a_fresh_lab_lists_every_resource(story: Story) -> None:
    kinds = {kind for of in resources(story.plan).values() for _, name in of
             for kind in [name.split()[0]]}  # fmt: skip
    assert kinds == {
        "check", "directory", "dome", "environment", "file", "image", "job", "packages", "probe",
        "project", "script", "unit", "user",
    }  # fmt: skip
    assert list(resources(story.plan)) == list(HOSTS)
    assert all(1 <= host["round_trips"] <= 3 for host in story.plan["hosts"])


def test_an_apply_does_what_the_plan_lists_in_that_order(story: Story) -> None:
    assert done(story.report) == resources(story.plan)
    assert (story.report["converged"], story.report["verified"]) == (True, True)
    assert {host["outcome"] for host in story.report["hosts"]} == {"changed"}
    assert all(not host["left"] for host in story.report["hosts"])


def test_files_are_as_the_plan_says(story: Story) -> None:
    told_files = 0
    for host in story.plan["hosts"]:
        disk = story.done[host["host"]]
        for change in host["changes"]:
            if change["action"] != "create" or change["resource"]["kind"] not in (
                "file", "directory",
            ):  # fmt: skip
                continue
            entry = disk[path_on_disk(change["resource"]["name"])]
            assert (entry.kind, entry.mode) == (
                {"file": "-", "directory": "d"}[change["resource"]["kind"]],
                change["after"]["mode"],
            )
            told_files += 1
    assert told_files >= 12


def path_on_disk(path: str) -> str:
    """Say where a survey of the disks has a path of a host."""
    stateful = "/mnt/stateful_partition/"
    if path.startswith(stateful):
        return f"stateful:{path.removeprefix(stateful)}"
    return path.removeprefix("/")


def test_an_apply_leaves_nothing_but_its_records(story: Story) -> None:
    for host in HOSTS:
        new = set(story.done[host]) - set(story.fresh[host])
        assert not [path for path in new if path.endswith(".crosprov") or "crosprov-" in path
                    and "crosprov-mirror.conf" not in path
                    and "/site-packages/" not in path]  # fmt: skip
        records = RECORDS_OF_A_DUT if host.startswith("dut") else RECORDS
        kept = {path.removeprefix(f"{records}/").split("/")[0] for path in new
                if path.startswith(f"{records}/")}  # fmt: skip
        assert kept <= {"journal", "before", "restart", "images", "dome-migrated", "lsb-release"}
        assert not [path for path in new if path.startswith(f"{records}/restart/")]
        assert story.done[host][records].mode == "0700"


def test_a_status_lists_what_a_plan_lists(story: Story) -> None:
    drift = {host["host"]: host["drift"] for host in story.status["hosts"]}
    assert drift == {
        host: [f"{action} {resource}" for action, resource in of]
        for host, of in resources(story.plan).items()
    }


def test_a_second_plan_is_empty_and_costs_one_round_trip(story: Story) -> None:
    before = story.lab.uppers(ignore=BY_ITSELF)
    done = story.lab.crosprov("plan", "--detailed-exitcode", "--format", "json")
    assert done.returncode == 0, told(done)
    plan = json.loads(done.stdout)
    assert resources(plan) == {}
    assert {host["host"]: host["round_trips"] for host in plan["hosts"]} == dict.fromkeys(HOSTS, 1)
    text = story.lab.crosprov("plan", "--detailed-exitcode")
    assert "Plan: nothing to do (5 round trips to 5 hosts)" in text.stdout
    apply = story.lab.crosprov("apply", "--yes")
    assert apply.returncode == 0, told(apply)
    assert "Nothing to do: 5 hosts as the inventory says (5 round trips)" in apply.stdout
    assert changed(before, story.lab.uppers(ignore=BY_ITSELF)) == {}


def test_a_settled_lab_is_in_order(story: Story) -> None:
    done = story.lab.crosprov("status")
    assert done.returncode == 0, told(done)
    assert "5 of 5 hosts in order" in done.stdout


def test_answers_for_programs_are_what_their_schemas_say(story: Story) -> None:
    status = json.loads(story.lab.crosprov("status", "--format", "json").stdout)
    empty = json.loads(story.lab.crosprov("plan", "--format", "json").stdout)
    jsonschema.validate(story.plan, schema_of(story.lab, "plan"))
    jsonschema.validate(empty, schema_of(story.lab, "plan"))
    jsonschema.validate(story.report, schema_of(story.lab, "report"))
    jsonschema.validate(story.status, schema_of(story.lab, "status"))
    jsonschema.validate(status, schema_of(story.lab, "status"))


@contextmanager
def wanting(lab: Lab, *, motd: str = MOTD, label: str = "", folder: str = "") -> Iterator[None]:
    """Let the inventory want something else for a while, and then make the lab as it was."""
    text = demo().replace(MOTD, motd)
    if label:
        text = text.replace("dut: {board: eve,", f"dut: {{board: eve, label: {label},")
    if folder:
        text = text.replace("{mirrors: mirror1}", f"{{mirrors: mirror1, static_dir: {folder}}}")
    assert text != demo()
    try:
        lab.write(text)
        yield
    finally:
        lab.write(demo())
        settled = lab.crosprov("apply", "--yes")
        assert settled.returncode == 0, told(settled)


def test_an_apply_writes_only_what_the_plan_lists(story: Story) -> None:
    lab = story.lab
    with wanting(lab, motd="Written once more.", label="eve-release/R1-2.3"):
        plan = json.loads(lab.crosprov("plan", "--format", "json").stdout)
        before = lab.uppers(ignore=NOISE)
        report = lab.crosprov("apply", "--yes", "--format", "json")
        assert report.returncode == 0, told(report)
        after = lab.uppers(ignore=NOISE)
    assert done(json.loads(report.stdout)) == resources(plan)
    for host, paths in changed(before, after).items():
        listed = {path_on_disk(name.removeprefix("file "))
                  for _, name in resources(plan)[host] if name.startswith("file ")}  # fmt: skip
        assert listed
        own = [path for path in paths if not path.startswith((RECORDS, RECORDS_OF_A_DUT))]
        assert set(own) == listed
    assert set(changed(before, after)) == set(HOSTS)


@pytest.mark.parametrize(
    ("arguments", "touched"),
    [
        (("--limit", "dev1"), {"dev1"}),
        (("--limit", "dut*,!dut02"), {"dut01"}),
        (("--role", "mirror"), {"mirror1"}),
        (("--role", "common", "--limit", "servers,!factory1"), {"mirror1", "dev1"}),
    ],
)
def test_only_the_chosen_hosts_are_touched(
    story: Story, arguments: tuple[str, ...], touched: set[str]
) -> None:
    with wanting(story.lab, motd=" ".join(arguments), label="a-release/R1-2.3"):
        before = story.lab.uppers(ignore=NOISE)
        plan = story.lab.crosprov("plan", "--format", "json", *arguments)
        assert set(resources(json.loads(plan.stdout))) == touched
        apply = story.lab.crosprov("apply", "--yes", *arguments)
        assert apply.returncode == 0, told(apply)
        assert set(changed(before, story.lab.uppers(ignore=NOISE))) == touched


def test_a_saved_plan_is_applied_exactly_and_only_once(story: Story, tmp_path: Path) -> None:
    lab, saved = story.lab, tmp_path / "saved"
    with wanting(lab, motd="From a file."):
        made = lab.crosprov("plan", "--out", str(saved), "--format", "json")
        assert made.returncode == 0, told(made)
        plan = json.loads(made.stdout)
        lab.write(demo().replace(MOTD, "Changed since the plan was saved."))
        apply = lab.program("apply", str(saved), "--yes", "--format", "json")
        assert apply.returncode == 0, told(apply)
        report = json.loads(apply.stdout)
        assert done(report) == resources(plan)
        assert (report["converged"], report["verified"]) == (True, False)
        assert list(resources(plan)) == list(SERVERS)
        for host in SERVERS:
            assert "From a file." in lab.must(host, "cat /etc/motd")
        before = lab.uppers(ignore=BY_ITSELF)
        again = lab.program("apply", str(saved), "--yes")
        assert again.returncode == 3, told(again)
        assert "no longer looks as it did when the plan was made" in again.stderr
        assert changed(before, lab.uppers(ignore=BY_ITSELF)) == {}


@pytest.mark.parametrize(
    ("host", "harm", "fact"),
    [
        ("factory1", "echo x >> /etc/motd", "path /etc/motd"),
        ("dev1", "systemctl stop devserver", "unit devserver.service"),
        ("dut02", "initctl stop update-engine", "state of the DUT, job update-engine"),
    ],
)
def test_a_plan_of_a_host_that_has_changed_is_refused_everywhere(
    story: Story, host: str, harm: str, fact: str, tmp_path: Path
) -> None:
    lab, saved = story.lab, tmp_path / "saved"
    with wanting(lab, motd=f"Never on {host}."):
        assert lab.crosprov("plan", "--out", str(saved)).returncode == 0
        lab.must(host, harm)
        before = lab.uppers(ignore=BY_ITSELF)
        apply = lab.program("apply", str(saved), "--yes")
        assert apply.returncode == 3, told(apply)
        assert f"{host} no longer looks as it did when the plan was made: {fact}" in apply.stderr
        assert "nothing was changed" in apply.stderr
        assert changed(before, lab.uppers(ignore=BY_ITSELF)) == {}


def test_without_a_terminal_nothing_is_changed_unasked(story: Story, tmp_path: Path) -> None:
    lab = story.lab
    with wanting(lab, motd="Unasked."):
        assert lab.crosprov("plan", "--out", str(tmp_path / "saved")).returncode == 0
        before = lab.uppers(ignore=BY_ITSELF)
        for refused in (lab.crosprov("apply"), lab.program("apply", str(tmp_path / "saved"))):
            assert refused.returncode == 64, told(refused)
            assert "there is no terminal to ask on" in refused.stderr
        assert changed(before, lab.uppers(ignore=BY_ITSELF)) == {}


class Terminal:
    """A program on a terminal of its own, with a person who answers."""

    def __init__(self, command: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "100"},
        )  # fmt: skip
        os.close(theirs)
        self.said = ""

    def until(self, words: str, *, seconds: float = 60) -> None:
        """Read until the program has said something."""
        end = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < end and self._read(), self.said

    def answer(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        os.kill(self._process.pid, signal.SIGINT)

    def end(self, *, seconds: float = 120) -> int:
        """Read to the end and return the exit status."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, self.said
        return self._process.wait(timeout=10)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 1.0)
        if not ready:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # the program has closed its side
            return False
        self.said += piece.decode(errors="replace")
        return bool(piece)


@contextmanager
def asked(lab: Lab, *arguments: str) -> Iterator[Terminal]:
    """Run an apply on a terminal, up to its question."""
    # Who starts the tests in the background may have SIGINT ignored, for all that they start.
    terminal = Terminal(["env", "--default-signal=INT", *lab.command("apply", *arguments)])
    try:
        terminal.until("Apply this to ")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_person_who_does_not_agree_changes_nothing(story: Story, answer: str) -> None:
    with wanting(story.lab, motd="Not agreed."):
        before = story.lab.uppers(ignore=BY_ITSELF)
        with asked(story.lab) as terminal:
            assert "+Not agreed." in terminal.said
            assert "Apply this to 3 twins of " in terminal.said
            terminal.answer(answer)
            assert terminal.end() == 0, terminal.said
        assert "nothing was changed" in terminal.said
        assert changed(before, story.lab.uppers(ignore=BY_ITSELF)) == {}


def test_a_person_who_interrupts_the_question_changes_nothing(story: Story) -> None:
    with wanting(story.lab, motd="Interrupted."):
        before = story.lab.uppers(ignore=BY_ITSELF)
        with asked(story.lab) as terminal:
            terminal.interrupt()
            assert terminal.end() == 130, terminal.said
        assert changed(before, story.lab.uppers(ignore=BY_ITSELF)) == {}


def test_a_person_who_agrees_gets_what_was_shown(story: Story) -> None:
    with wanting(story.lab, motd="Agreed."):
        with asked(story.lab) as terminal:
            terminal.answer("y\n")
            assert terminal.end() == 0, terminal.said
        assert "Done: 3 changes; a second plan of the changed hosts is empty" in terminal.said
        for host in SERVERS:
            assert "Agreed." in story.lab.must(host, "cat /etc/motd")


def test_drift_between_the_plan_and_the_answer_is_refused(story: Story) -> None:
    with wanting(story.lab, motd="Too late."):
        with asked(story.lab) as terminal:
            story.lab.must("dev1", "echo drift >> /etc/motd")
            before = story.lab.uppers(ignore=BY_ITSELF)
            terminal.answer("y\n")
            assert terminal.end() == 3, terminal.said
        assert "dev1 no longer looks as it did when the plan was made" in terminal.said
        assert changed(before, story.lab.uppers(ignore=BY_ITSELF)) == {}


def test_a_host_that_fails_blocks_only_those_that_need_it(story: Story) -> None:
    lab = story.lab
    with wanting(lab, motd="Others go on.", label="b-release/R1-2.3", folder="/proc/static"):
        apply = lab.crosprov("apply", "--yes", "--format", "json")
        assert apply.returncode == 4, told(apply)
        report = json.loads(apply.stdout)
        jsonschema.validate(report, schema_of(lab, "report"))
        text = lab.crosprov("apply", "--yes")
        assert text.returncode == 4, told(text)
    hosts = {host["host"]: host for host in report["hosts"]}
    assert {name: host["outcome"] for name, host in hosts.items()} == {
        "mirror1": "changed", "dev1": "failed", "factory1": "changed",
        "dut01": "blocked", "dut02": "blocked",
    }  # fmt: skip
    assert hosts["dev1"]["error"] == "ChangeFailed"
    assert "directory /proc/static could not be created" in hosts["dev1"]["message"]
    assert {hosts[dut]["blocked_by"] for dut in ("dut01", "dut02")} == {"dev1"}
    assert [change["resource"] for change in hosts["dev1"]["done"]] == ["file /etc/motd"]
    assert "dut01: left untouched, because it needs dev1" in text.stdout
    assert "blocked  dut01, dut02" in text.stdout or "blocked  dut[01:02]" in text.stdout

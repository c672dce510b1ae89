"""What a change under way says of itself: told at once, masked, and never in its way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import ChangeFailed
from crosprov.execution.events import ChangeDone, ChangeProgress, Event
from crosprov.execution.listener import plain
from crosprov.execution.script import Script
from crosprov.operations.note import PROGRESS
from crosprov.secrets import vault
from tests.execution.labor import carried, plan_of, shell, wait_for

SHELLS = [name for name in ("dash", "bash", "busybox", "ksh", "mksh") if shutil.which(name)]


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, ChangeProgress)]


def reporting(name: str, command: str, folder: Path) -> list[Event]:
    events, error = carried(plan_of(folder / "s", shell(name, PROGRESS + command)))
    assert error is None, error
    return events


SAYINGS = [
    ("progress 35 % of 1.2 GB", ["35 % of 1.2 GB"]),
    ("progress one; progress two; progress two", ["one", "two", "two"]),
    ("progress '%s \\n %d'", ["%s \\n %d"]),
    ("progress", []),
    ("progress 'a  b\tc'", ["a b c"]),
    ("progress \"$(printf 'one\\ntwo')\"", ["one"]),
    ("with_progress sh -c 'echo a >&9; echo b >&9'", ["a", "b"]),
    ("with_progress sh -c 'printf \"no line break\" >&9'", ["no line break"]),
    ("with_progress sh -c 'echo; echo \"  x \" >&9'", ["x"]),
    ("with_progress true", []),
    ("work() { progress inside; echo past >&9; }; with_progress work", ["inside", "past"]),
    ("with_progress sh -c 'echo to the output; echo said >&9; echo error >&2'", ["said"]),
]


@pytest.mark.parametrize(("command", "expected"), SAYINGS)
def test_what_is_said_is_told(tmp_path: Path, command: str, expected: list[str]) -> None:
    assert texts(reporting("x", command, tmp_path)) == expected


def test_it_is_told_while_the_change_is_under_way(tmp_path: Path) -> None:
    events = reporting("x", "progress half way", tmp_path)
    kinds = [type(event) for event in events]
    assert kinds.index(ChangeProgress) < kinds.index(ChangeDone)
    (said,) = (event for event in events if isinstance(event, ChangeProgress))
    assert (said.host, str(said.change.resource)) == ("h1", "test x")


@pytest.mark.parametrize("status", [0, 1, 7, 130])
def test_the_status_is_the_commands_own(tmp_path: Path, status: int) -> None:
    command = f"with_progress sh -c 'echo said >&9; echo reason; exit {status}'"
    plan = plan_of(tmp_path / "s", shell("x", PROGRESS + command))
    events, error = carried(plan)
    assert texts(events) == ["said"]
    if status:
        assert isinstance(error, ChangeFailed)
        assert f"status {status}" in error.message and "reason" in error.message
        assert "said" not in error.message
    else:
        assert error is None


def test_a_command_that_is_killed_has_failed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "s", shell("x", PROGRESS + "with_progress sh -c 'kill -9 $$'"))
    _, error = carried(plan)
    assert isinstance(error, ChangeFailed) and "status 137" in error.message


def test_a_program_of_python_may_report(tmp_path: Path) -> None:
    program = "import os; os.write(9, b'5 %\\n'); os.write(9, b'6 %\\n')"
    command = f'with_progress {sys.executable} -ISc "{program}"'
    assert texts(reporting("x", command, tmp_path)) == ["5 %", "6 %"]


def test_who_says_much_is_heard_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    said = texts(reporting("x", "with_progress sh -c 'seq 1 20000 >&9'", tmp_path))
    assert said[:5] == ["1", "2", "3", "4", "5"] and said[-1] == "20000"
    assert len(said) < 1000


def test_secrets_and_control_characters_are_not_told(tmp_path: Path) -> None:
    vault.add("pr0gress-secret", "env TOKEN")
    said = texts(
        reporting("x", "progress \"$(printf 'key pr0gress-secret \\033[31mred')\"", tmp_path)
    )
    assert said == ["key (secret: env TOKEN) [31mred"]


@given(st.text())
def test_any_text_becomes_one_short_line(said: str) -> None:
    text = plain(said)
    assert len(text) <= 160
    assert all(character.isprintable() for character in text)
    assert plain(text) == text


@pytest.mark.parametrize(
    ("preamble", "held"), [("", False), (PROGRESS, True)], ids=["silent", "reporting"]
)
def test_only_what_reports_holds_the_connection(tmp_path: Path, preamble: str, held: bool) -> None:
    """A daemon that a command leaves behind would keep the connection from its end."""
    seen = tmp_path / "seen"
    look = f"[ -e /proc/self/fd/4 ] && echo held > {seen} || echo free > {seen}"
    assert carried(plan_of(tmp_path / "s", shell("x", preamble + look)))[1] is None
    assert seen.read_text() == ("held\n" if held else "free\n")


def test_a_connection_that_goes_away_is_not_in_the_way(tmp_path: Path) -> None:
    begun, go, ended = tmp_path / "begun", tmp_path / "go", tmp_path / "ended"
    work = (
        f"progress a; touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done\n"
        "progress b; progress c\n"
        f"with_progress sh -c 'seq 1 5000 >&9 && echo fine > {ended}' || exit 1\n"
        f"progress d; echo very >> {ended}"
    )
    plan = plan_of(tmp_path / "s", shell("x", PROGRESS + work), shell("y", f"touch {tmp_path}/y"))
    process = subprocess.Popen(["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(Script(plan, "me", "r").text(vault))
    process.stdin.close()
    wait_for(begun)
    process.stdout.close()
    go.touch()
    process.wait(timeout=20)
    assert ended.read_text() == "fine\nvery\n"
    assert not (tmp_path / "y").exists()
    assert '"result":"done"' in (tmp_path / "s/journal").read_text()


@pytest.mark.parametrize("name", SHELLS)
def test_without_the_executor_a_command_works_in_silence(tmp_path: Path, name: str) -> None:
    work = "progress a; with_progress sh -c 'echo b >&9; echo c; exit 4'"
    words = ["busybox", "sh"] if name == "busybox" else [name]
    done = subprocess.run(
        [*words, "-c", PROGRESS + work], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "c\n", "")


@pytest.mark.parametrize("name", SHELLS)
def test_each_posix_shell_runs_the_script(tmp_path: Path, name: str) -> None:
    work = f"{PROGRESS}progress a\nwith_progress sh -c 'echo b >&9; exit 0'"
    script = Script(plan_of(tmp_path / "s", shell("x", work)), "me", "r")
    words = ["busybox", "sh"] if name == "busybox" else [name]
    done = subprocess.run(
        [*words, "-s"], input=script.text(vault), capture_output=True, timeout=20, check=False
    )
    said = [
        line.removeprefix(f"{script.marker} ".encode()).decode()
        for line in done.stdout.splitlines()
        if line.startswith(script.marker.encode())
    ]
    assert said == ["begin 0", "progress a", "progress b", "done 0", "end"], done.stderr

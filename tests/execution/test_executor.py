"""Carrying a plan out: exactly, in order, and safe at every instant."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosprov.errors import ChangeFailed, HostBusy, HostError, HostSilent, StalePlan
from crosprov.execution.events import ChangeDone, ChangeStarted
from crosprov.execution.script import Script
from crosprov.planning.batch import Batch
from crosprov.planning.lock import HELD, busy, holder
from crosprov.secrets import vault
from tests.execution.labor import carried, plan_of, sending, shell, wait_for, writing


def test_changes_are_carried_out_in_order_and_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    plan = plan_of(tmp_path / "s", *(shell(f"c{n}", f"echo {n} >> {log}") for n in range(3)))
    events, error = carried(plan)
    assert error is None
    assert log.read_text() == "0\n1\n2\n"
    assert [(type(e), getattr(e, "number", 0)) for e in events] == [
        (kind, number) for number in (1, 2, 3) for kind in (ChangeStarted, ChangeDone)
    ]


def test_the_first_failure_ends_it_with_the_output_of_its_command(tmp_path: Path) -> None:
    undone = tmp_path / "undone"
    plan = plan_of(
        tmp_path / "s",
        shell("good", "echo not shown"),
        shell("bad", "echo the >&2; echo reason >&2; exit 7", "echo never", undo=f"touch {undone}"),
        shell("after", f"touch {tmp_path / 'after'}"),
    )
    events, error = carried(plan)
    assert isinstance(error, ChangeFailed)
    assert "test bad" in error.message and "status 7" in error.message
    assert "reason" in error.message and "never" not in error.message
    assert "not shown" not in error.message
    assert undone.exists() and not (tmp_path / "after").exists()
    assert sum(isinstance(e, ChangeDone) for e in events) == 1


def test_a_failure_with_one_line_to_say_has_it_as_its_sentence(tmp_path: Path) -> None:
    _, error = carried(plan_of(tmp_path / "s", shell("bad", "echo 'no such build' >&2; exit 7")))
    assert isinstance(error, ChangeFailed)
    assert error.message == "test bad could not be run: no such build (status 7)"


@pytest.mark.parametrize(
    ("last", "begins"),
    [
        ("E: Unable to locate package nginx", True),
        ("mv: cannot stat 'a': No such file or directory", True),
        ("PermissionError: [Errno 13] Permission denied: '/x'", True),
        ("docker: Error response from daemon: port is taken.", True),
        ('See "systemctl status nginx.service" for details.', False),
        ("it goes on from there", False),
    ],
)
def test_a_cause_that_is_said_last_is_the_sentence(tmp_path: Path, last: str, begins: bool) -> None:
    (tmp_path / "said").write_text(f"Reading lists...\n{last}\n\n")
    command = f"cat {tmp_path / 'said'} >&2; exit 7"
    _, error = carried(plan_of(tmp_path / "s", shell("bad", command)))
    assert isinstance(error, ChangeFailed)
    first = f"{last} (status 7)" if begins else "its command ended with status 7"
    told = f"test bad could not be run: {first}\nReading lists...\n{last}"
    assert error.message == told


def test_a_lock_of_one_s_own_earlier_run_is_called_so() -> None:
    assert busy("dev1", "ann@desk", "ann@desk").startswith("an earlier run of yours is still")
    assert busy("dev1", "ann@desk", "bob@desk") == "another run is at work on dev1: ann@desk"


@pytest.mark.parametrize("command", ["false; true", "exit 0", "(exit 3) || true"])
def test_only_the_last_status_of_a_command_counts(tmp_path: Path, command: str) -> None:
    assert carried(plan_of(tmp_path / "s", shell("x", command)))[1] is None


@given(content=st.binary(max_size=300))
@settings(max_examples=25, deadline=None)
def test_any_content_arrives_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    assert carried(plan_of(folder / "s", writing(folder / "f", content)))[1] is None
    assert (folder / "f").read_bytes() == content


def test_a_secret_is_in_its_target_and_nowhere_else(tmp_path: Path) -> None:
    token = vault.add("s3cr3t-value-42", "env PASSWORD")
    plan = plan_of(
        tmp_path / "s",
        writing(tmp_path / "target", f"pw={token}\n".encode()),
        shell("leak", f"cat {tmp_path / 'target'} >&2; exit 1"),
    )
    _, error = carried(plan)
    assert (tmp_path / "target").read_text() == "pw=s3cr3t-value-42\n"
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600
    assert error is not None and "s3cr3t" not in error.message
    assert "(secret: env PASSWORD)" in error.message
    found = subprocess.run(
        ["grep", "-rl", "s3cr3t-value-42", str(tmp_path)], capture_output=True, text=True
    )
    assert found.stdout.split() == [str(tmp_path / "target")]


def test_the_journal_says_who_did_what(tmp_path: Path) -> None:
    carried(plan_of(tmp_path / "s", shell("one", "true"), shell('it\'s "two"', "false")))
    lines = [json.loads(li) for li in (tmp_path / "s/journal").read_text().splitlines()]
    assert [(e["resource"], e["result"]) for e in lines] == [
        ("test one", "done"),
        ('test it\'s "two"', "failed"),
    ]
    assert all(e["by"] == "me@here" and e["run"] == "r1" and e["at"].endswith("Z") for e in lines)


def test_the_records_are_private_and_tidy(tmp_path: Path) -> None:
    carried(plan_of(tmp_path / "s", shell("one", "echo x")))
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(tmp_path / "s")) == ["journal"]


def test_a_script_that_is_cut_changes_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    text = Script(plan_of(tmp_path / "s", shell("x", f"touch {touched}")), "me", "r").text(vault)
    for length in range(0, len(text) - len("apply\nexit 0\n"), 97):
        subprocess.run(["sh", "-s"], input=text[:length], capture_output=True, check=False)
    assert not touched.exists() and not (tmp_path / "s").exists()


def test_a_connection_that_goes_away_ends_it_between_two_changes(tmp_path: Path) -> None:
    marks = [tmp_path / f"m{n}" for n in range(3)]
    plan = plan_of(
        tmp_path / "s",
        shell("first", f"touch {marks[0]}; while [ ! -e {tmp_path}/gone ]; do sleep 0.05; done; "
              f"echo lots; touch {marks[1]}"),
        shell("second", f"touch {marks[2]}"),
    )  # fmt: skip
    text = Script(plan, "me", "r").text(vault)
    process = subprocess.Popen(["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(text)
    process.stdin.close()
    wait_for(marks[0])
    process.stdout.close()
    (tmp_path / "gone").touch()
    process.wait(timeout=20)
    assert marks[1].exists(), "a change under way is finished"
    assert not marks[2].exists(), "and no other is begun"
    assert not (tmp_path / "s/lock").exists()


def test_a_second_run_is_told_who_is_at_work(tmp_path: Path) -> None:
    release = tmp_path / "release"
    slow = plan_of(tmp_path / "s", shell("slow", f"while [ ! -e {release} ]; do sleep 0.05; done"))
    text = Script(slow, "ann@desk", "r").text(vault)
    process = subprocess.Popen(["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    wait_for(tmp_path / "s/lock/owner")
    _, error = carried(plan_of(tmp_path / "s", shell("x", "true")))
    release.touch()
    process.wait(timeout=20)
    assert isinstance(error, HostBusy)
    assert error.message == f"another run is at work on {error.host}: ann@desk"
    assert carried(plan_of(tmp_path / "s", shell("x", "true")))[1] is None


STALE_OWNERS = [
    "999999 1 {boot} ann@desk",  # the process is gone
    "1 1 {boot} ann@desk",  # another process has its number
    "1 1 another-boot ann@desk",  # the host was rebooted
    "",  # it was killed before it signed
]


@pytest.mark.parametrize("owner", STALE_OWNERS)
def test_a_lock_that_nobody_holds_is_taken(tmp_path: Path, owner: str) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (tmp_path / "s/lock").mkdir(parents=True)
    (tmp_path / "s/lock/owner").write_text(owner.format(boot=boot))
    batch = Batch.of([HELD.format(state=tmp_path / "s")])
    done = subprocess.run(["sh", "-s"], input=batch.script, capture_output=True, check=False)
    assert holder(batch.read(done.stdout, done.stderr)[batch.commands[0]]) is None
    assert carried(plan_of(tmp_path / "s", shell("x", "true")))[1] is None
    assert not (tmp_path / "s/lock").exists()


def test_a_killed_script_leaves_a_lock_that_the_next_run_takes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "s", shell("slow", f"touch {tmp_path}/begun; sleep 30"))
    process = subprocess.Popen(
        ["sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(Script(plan, "me", "r").text(vault))
    process.stdin.close()
    wait_for(tmp_path / "begun")
    os.killpg(process.pid, 9)
    process.wait(timeout=20)
    assert (tmp_path / "s/lock").exists()
    assert carried(plan_of(tmp_path / "s", shell("x", "true")))[1] is None


def test_records_that_cannot_be_written_stop_it_before_any_change(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file is in the way")
    _, error = carried(plan_of(tmp_path / "s", shell("x", f"touch {tmp_path}/touched")))
    assert isinstance(error, HostError) and "cannot be written" in error.message
    assert not (tmp_path / "touched").exists()


def test_a_host_that_dies_is_reported_with_how_far_it_came(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "s", shell("one", "true"), shell("die", "kill -9 $$"))
    _, error = carried(plan)
    assert isinstance(error, HostSilent) and "after 1 of 2 changes" in error.message


def test_a_large_file_is_streamed_once_and_checked(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(os.urandom(3_000_000))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    target = tmp_path / "target"
    assert carried(plan_of(tmp_path / "s", sending(source, target, digest)))[1] is None
    assert target.read_bytes() == source.read_bytes()
    assert not (tmp_path / "s/incoming").exists()


def test_a_large_file_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(b"a" * 1000)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    plan = plan_of(tmp_path / "s", sending(source, tmp_path / "target", digest))
    source.write_bytes(b"b" * 1000)
    _, error = carried(plan)
    assert isinstance(error, StalePlan) and "no longer the file" in error.message
    assert not (tmp_path / "target").exists()

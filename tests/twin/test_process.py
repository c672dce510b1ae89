from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin import process


def start(tmp_path: Path, *argv: str) -> Path:
    record = tmp_path / "process"
    process.spawn(argv, record=record, console=tmp_path / "console.log")
    return record


def test_a_spawned_process_is_found_and_killed(tmp_path: Path) -> None:
    record = start(tmp_path, "sleep", "1000")
    running = process.find(record)
    assert running is not None
    assert os.getsid(running.pid) == running.pid
    process.kill(record)
    assert process.find(record) is None
    process.kill(record)


def test_a_process_outlives_the_program_that_started_it(tmp_path: Path) -> None:
    record = tmp_path / "process"
    program = (
        "from pathlib import Path; from crosprov.twin import process; import os, signal;"
        f"process.spawn(('sleep', '1000'), record=Path({str(record)!r}),"
        f" console=Path({str(tmp_path / 'log')!r})); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run((sys.executable, "-c", program)).returncode == -9
    assert process.find(record) is not None
    process.kill(record)
    assert process.find(record) is None


def test_output_goes_to_the_console(tmp_path: Path) -> None:
    start(tmp_path, "sh", "-c", "echo one; echo two >&2; kill -KILL $$")
    # The pipe by which spawn() waits ends at exec, so the program may still be about to speak.
    while "two" not in (tmp_path / "console.log").read_text():
        os.sched_yield()
    assert (tmp_path / "console.log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("text", ["", "junk", "boot\n", "boot\n1 (init) S\n"])
def test_a_damaged_record_is_no_process(tmp_path: Path, text: str) -> None:
    record = tmp_path / "process"
    record.write_text(text)
    assert process.find(record) is None


def test_a_pid_that_another_process_has_now_is_not_taken_for_ours(tmp_path: Path) -> None:
    record = tmp_path / "process"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    stat = Path("/proc/self/stat").read_text()
    record.write_text(boot + stat)
    assert process.find(record) == process.Running(os.getpid())

    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    fields[19] = str(int(fields[19]) - 1)
    record.write_text(f"{boot}{head}) {' '.join(fields)}\n")
    assert process.find(record) is None
    process.kill(record)


def test_a_record_of_an_earlier_boot_is_no_process(tmp_path: Path) -> None:
    record = tmp_path / "process"
    stat = Path("/proc/self/stat").read_text()
    record.write_text(f"00000000-0000-0000-0000-000000000000\n{stat}")
    assert process.find(record) is None


def test_a_process_that_cannot_be_written_down_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="could not be started"):
        process.spawn(
            ("sleep", "1000"),
            record=tmp_path / "no such folder" / "process",
            console=tmp_path / "console.log",
        )

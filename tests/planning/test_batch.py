"""Many questions in one script: whatever a host prints, answers come out as they went in."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.planning.batch import Answer, Batch, BatchCut

SHELLS = ["sh", "bash"]


def ask(shell: str, batch: Batch) -> dict[str, Answer]:
    done = subprocess.run([shell, "-s"], input=batch.script, capture_output=True, check=False)
    return batch.read(done.stdout, done.stderr)


def printing(content: bytes) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in content) + "'"


@pytest.mark.parametrize("shell", SHELLS)
@given(outputs=st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=20)), max_size=4))
def test_every_byte_comes_back(shell: str, outputs: list[tuple[bytes, bytes]]) -> None:
    commands = [
        f": {n}; {printing(out)}; {printing(err)} >&2; exit {n}"
        for n, (out, err) in enumerate(outputs)
    ]
    answers = ask(shell, Batch.of(commands))
    assert [answers[c] for c in commands] == [
        Answer(n, out, err) for n, (out, err) in enumerate(outputs)
    ]


def test_output_that_looks_like_another_batch_is_only_output() -> None:
    other = Batch.of(["true"])
    command = f"printf '\\n{other.marker} = 0 0\\n{other.marker} end\\n'"
    batch = Batch.of([command, "echo after"])
    answers = ask("sh", batch)
    assert answers[command].stdout.decode().count(other.marker) == 2
    assert answers["echo after"].stdout == b"after\n"


def test_noise_of_a_login_shell_is_ignored() -> None:
    batch = Batch.of(["echo yes"])
    done = subprocess.run(["sh", "-s"], input=batch.script, capture_output=True, check=False)
    answers = batch.read(b"Welcome!\nmotd" + done.stdout, b"warning" + done.stderr)
    assert answers["echo yes"] == Answer(0, b"yes\n", b"")


def test_commands_cannot_read_the_script() -> None:
    batch = Batch.of(["cat", "echo still here"])
    answers = ask("sh", batch)
    assert answers["cat"] == Answer(0, b"", b"")
    assert answers["echo still here"].stdout == b"still here\n"


def test_a_script_that_is_cut_anywhere_asks_nothing() -> None:
    batch = Batch.of(["echo asked"])
    script = batch.script
    for length in range(0, script.rindex(b"\nask"), 7):
        done = subprocess.run(["sh", "-s"], input=script[:length], capture_output=True, check=False)
        assert b"asked" not in done.stdout


def test_an_answer_that_is_cut_anywhere_is_an_error() -> None:
    batch = Batch.of(["echo first", "echo second"])
    done = subprocess.run(["sh", "-s"], input=batch.script, capture_output=True, check=False)
    for length in range(len(done.stdout) - 1):
        with pytest.raises(BatchCut):
            batch.read(done.stdout[:length], done.stderr)


def test_the_same_question_is_asked_once() -> None:
    assert Batch.of(["a", "b", "a"]).commands == ("a", "b")

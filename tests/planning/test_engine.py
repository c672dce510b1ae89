"""Pyinfra without I/O: complete command lists, replay, and refusals by name."""

from __future__ import annotations

from collections.abc import Callable, Generator
from io import StringIO
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api import FactBase, StringCommand, deploy, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.operations import files as stock_files
from pyinfra.operations import python as stock_python
from pyinfra.operations import server as stock_server

from crosprov.errors import NotPlannable, PlanError
from crosprov.operations import files
from crosprov.operations.effects import effects
from crosprov.operations.note import PROGRESS, Commands, Note, Noted
from crosprov.operations.operation import operation as own_operation
from crosprov.operations.reboots import reboot
from crosprov.planning.batch import Answer
from crosprov.planning.engine import Drawing, RoleDeploy, draw
from crosprov.planning.plan import Action, Reboot, Resource, Shell, Write
from crosprov.secrets import vault


def drawn(function: Callable[[], object], answers: dict[str, Answer] | None = None) -> Drawing:
    wrapped = deploy("test")(function)
    return draw("h1", {}, [RoleDeploy("common", wrapped)], answers or {})


def converged(function: Callable[[], object], said: dict[str, str]) -> Drawing:
    """Draw until nothing is missing; `said` maps a part of a question to its answer."""
    answers: dict[str, Answer] = {}
    for _ in range(6):
        drawing = drawn(function, answers)
        if not drawing.missing:
            return drawing
        for question in drawing.missing:
            text = next((a for part, a in said.items() if part in question), "")
            answers[question] = Answer(0, text.encode(), b"")
    raise AssertionError("it never has all its answers")


class Word(FactBase[str]):
    """A fact for these tests."""

    title = "word"

    def command(self, key: str) -> str:
        return f"word {key}"


@operation()
def chained() -> Generator[str, None, None]:
    """Ask for one fact by the answer to another."""
    first = host.get_fact(Word, key="first")
    second = host.get_fact(Word, key=first)
    if second != "good":
        yield f"make {second} good"
        yield "and then this"


def test_all_commands_of_an_operation_are_drawn() -> None:
    drawing = converged(lambda: chained(), {"word first": "second", "word second": "bad"})
    (change,) = drawing.changes
    assert [s.command for s in change.steps if isinstance(s, Shell)] == [
        "make bad good",
        "and then this",
    ]


def test_nothing_is_left_when_the_facts_are_right() -> None:
    assert converged(lambda: chained(), {"first": "second", "second": "good"}).changes == []


def test_questions_of_all_operations_come_in_the_first_pass() -> None:
    def both() -> None:
        files.file("/etc/a", "a\n")
        files.file("/etc/b", "b\n")

    missing = drawn(both).missing
    assert len(missing) == 2
    assert "/etc/a" in missing[0] and "/etc/b" in missing[1]


def test_each_question_is_named_by_its_fact() -> None:
    drawing = drawn(lambda: files.file("/etc/a", "a\n"))
    assert list(drawing.asked.values()) == ["path /etc/a"]


def test_a_deploy_that_asks_itself_is_replayed() -> None:
    def asking() -> None:
        if host.get_fact(Word, key="wanted") == "yes":
            stock_server.shell(commands=["echo wanted"])

    assert len(converged(asking, {"word wanted": "yes"}).changes) == 1
    assert converged(asking, {"word wanted": "no"}).changes == []


def test_two_operations_with_one_name_stay_apart() -> None:
    def twice() -> None:
        for number in range(3):
            stock_server.shell(name="the same", commands=[f"echo {number}"])

    commands = [
        s.command for c in converged(twice, {}).changes for s in c.steps if isinstance(s, Shell)
    ]
    assert [c.split()[-1].strip("'") for c in commands] == ["0", "1", "2"]


def test_a_condition_on_an_earlier_operation_is_decided_in_the_plan() -> None:
    def conditional() -> None:
        conf = files.file("/etc/a", "a\n")
        stock_server.shell(commands=["reload"], _if=conf.did_change)

    changed = converged(conditional, {"/etc/a": "absent"})
    assert [c.action for c in changed.changes] == [Action.CREATE, Action.RUN]
    state = (
        "644 root 0 root 0 2 regular file\n"
        + files.Target("/etc/a", b"a\n", "0644", "root", "root").sha256
    )
    assert converged(conditional, {"/etc/a": state}).changes == []


@operation()
def by_function() -> Generator[Any, None, None]:
    """Yield what cannot be planned."""
    yield FunctionCommand(print, [], {})


@operation()
def acts_at_once() -> Generator[Any, None, None]:
    """Change the host while it is prepared."""
    host.run_shell_command(StringCommand("touch /tmp/x"), print_output=False, print_input=False)
    yield "true"


@operation()
def hidden() -> Generator[Any, None, None]:
    """Put a hidden value into a command."""
    yield StringCommand("login", HiddenValue("hunter2"))  # type: ignore[no-untyped-call]


def by_callback() -> None:
    stock_python.call(name="a callback", function=lambda: None)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: by_function(), "FunctionCommand"),
    (lambda: acts_at_once(), "while it is prepared"),
    (lambda: hidden(), "secret in a command line"),
    (by_callback, "a callback"),
    (lambda: stock_server.shell(commands=["x"], _get_pty=True), "_get_pty"),
    (lambda: stock_server.shell(commands=["x"], _retries=2), "_retries"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_what_cannot_be_planned_is_refused_by_name(
    function: Callable[[], object], words: str
) -> None:
    with pytest.raises(NotPlannable) as error:
        drawn(function)
    assert words in error.value.message
    assert "role common" in error.value.message and "operation" in error.value.message


def test_a_token_of_a_secret_in_a_command_is_refused() -> None:
    token = vault.add("hunter2", "env PASSWORD")
    with pytest.raises(NotPlannable, match="secret in a command line"):
        drawn(lambda: stock_server.shell(commands=[f"login {token}"]))


def test_a_fact_that_fails_is_a_sentence_that_names_it() -> None:
    answers: dict[str, Answer] = {}

    def function() -> object:
        return files.file("/etc/a/b", "x")

    for question in drawn(function).missing:
        answers[question] = Answer(1, b"", b"stat: cannot stat '/etc/a/b': Not a directory\n")
    with pytest.raises(PlanError) as error:
        drawn(function, answers)
    assert "path /etc/a/b" in error.value.message and "Not a directory" in error.value.message


def test_a_question_without_the_right_to_ask_tells_how_to_get_it() -> None:
    answers: dict[str, Answer] = {}

    def function() -> object:
        return files.file("/etc/a/b", "x")

    for question in drawn(function).missing:
        answers[question] = Answer(2, b"", b"sh: 354: cannot open /etc/a/b: Permission denied\n")
    with pytest.raises(PlanError) as error:
        drawn(function, answers)
    assert error.value.hint == "log in as root, or set ssh.sudo: true"


def test_an_error_does_not_leak_into_the_next_drawing() -> None:
    with pytest.raises(NotPlannable):
        drawn(lambda: by_function())
    assert drawn(lambda: stock_server.shell(commands=["true"])).changes


def test_arguments_of_an_operation_shape_its_command() -> None:
    drawing = drawn(
        lambda: stock_server.shell(
            commands=["run"], _chdir="/srv", _env={"A": "b c"}, _ignore_errors=True
        )
    )
    (step,) = drawing.changes[0].steps
    assert isinstance(step, Shell)
    assert "cd /srv" in step.command and "A=b c" in step.command
    assert step.command.endswith("|| :")


def test_an_upload_of_a_stock_operation_is_made_atomic() -> None:
    drawing = converged(
        lambda: stock_files.put(src=StringIO("text\n"), dest="/etc/x", mode="600"), {}
    )
    steps = drawing.changes[0].steps
    write = next(s for s in steps if isinstance(s, Write))
    assert write.path == "/etc/.x.crosprov" and write.content == b"text\n"
    moves = [s.command for s in steps if isinstance(s, Shell) and "mv -f" in s.command]
    assert len(moves) == 1 and "chmod 644" not in moves[0]


def test_a_defect_of_a_deploy_is_a_sentence_that_says_where() -> None:
    def broken() -> None:
        int("x")

    with pytest.raises(PlanError) as error:
        drawn(broken)
    assert "its deploy has a defect: ValueError" in error.value.message
    assert "test_engine.py, line" in str(error.value.hint)


@own_operation
def updated(version: str, /) -> Commands:
    """Update, reboot, and look."""
    effects().about["release version"] = "1"
    note = Note("build", version, Action.UPDATE, within=3600.0)
    yield Noted(PROGRESS + "update", note)
    yield reboot(within=600, ask=False)
    yield StringCommand("look")


@own_operation
def rebooted() -> Commands:
    """Only reboot."""
    yield reboot(note=Note("build", "2", Action.RUN))


def test_a_reboot_is_a_step_between_steps() -> None:
    drawing = converged(lambda: updated("2"), {})
    (change,) = drawing.changes
    assert change.steps == (
        Shell(command=PROGRESS + "update"),
        Reboot(within=600, ask=False),
        Shell(command="look"),
    )
    assert change.within == 3600.0
    assert [step.reports for step in change.steps if isinstance(step, Shell)] == [True, False]
    assert drawing.about == {"release version": "1"}


def test_a_change_may_begin_with_its_reboot() -> None:
    (change,) = converged(lambda: rebooted(), {}).changes
    assert change.resource == Resource(kind="build", name="2")
    assert change.steps == (Reboot(within=300, ask=True),)


def test_to_pyinfra_a_reboot_is_a_shell_command() -> None:
    assert "reboot" in str(reboot())


def test_a_secret_in_what_is_worth_showing_is_masked() -> None:
    def telling() -> None:
        effects().about["address"] = "http://me:ab0ut-secret@example.com"

    vault.add("ab0ut-secret", "env PASSWORD")
    assert drawn(telling).about == {"address": "http://me:(secret: env PASSWORD)@example.com"}

"""The commands of an ebuild as the shell would run them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror.policy.shell import assignments_of, commands_of


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("a; b && c || d & e", ["a", "b", "c", "d", "e"]),
        ("a # b\nc", ["a", "c"]),
        ("a#b c", ["a#b"]),
        ("a 'b; c' \"d; e\"", ["a"]),
        ('a "$(b `c`)" $(d)', ["c", "b", "d", "a"]),
        ("a <(b x)", ["b", "a"]),
        ("a <<EOF\nb\nEOF\nc", ["a", "c"]),
        ("a <<-'E F' | b\n\tc\n\tE F\nd", ["a", "b", "d"]),
        ("a <<<b", ["a"]),
        ("a >b 2>&1 c", ["a"]),
        ("if a; then b; elif ! c; then d; else e; fi", ["a", "b", "c", "d", "e", "fi"]),
        ("f() { a; }", ["a", "}"]),
        ("function f { a\n}", ["a", "}"]),
        ("case $x in a|b) c ;; (d) e ;; *) f\nesac; g", ["case", "c", "e", "f", "esac", "g"]),
        ("[[ a && ( b || c ) ]] && d", ["d"]),
        ("(( a < b )) && c", ["c"]),
        ("x=(a b\n# c\nd) y", ["x=(a b\n# c\nd)"]),
        ("x=$(a) b", ["a", "x=$(a)"]),
        ("a \\\n b", ["a"]),
        ("( a; b )", ["a", "b"]),
        ("echo ${x:-$(a)} ${y//[\"'`]/}", None),
        ("a ${x#*'}'} b", ["a"]),
    ],
)
def test_commands_are_those_of_the_shell(text: str, programs: list[str] | None) -> None:
    found = [command.words[0].text for command in commands_of(text)]
    if programs is None:
        assert "echo" in found
    else:
        assert found == programs


def test_a_pipe_is_remembered() -> None:
    first, second, third = commands_of("a | b; c")
    assert second.feeder is first
    assert first.feeder is None and third.feeder is None


def test_lines_are_counted_across_continuations_and_documents() -> None:
    text = "a \\\n  b\nc <<X\nd\nX\n\ne 'f\ng'\nh"
    assert [(c.words[0].text, c.line) for c in commands_of(text)] == [
        ("a", 1), ("c", 3), ("e", 7), ("h", 9),
    ]  # fmt: skip


def test_assignments_are_found_with_their_lines() -> None:
    text = 'A="x\ny" B=(1\n2)\nlocal C=3 D\nE+=" $A"\necho F=4\n'
    found = [(a.name, a.value, a.line) for a in assignments_of(commands_of(text))]
    assert found == [
        ("A", '"x\ny"', 1), ("B", "(1\n2)", 2), ("C", "3", 4), ("E", '" $A"', 5),
    ]  # fmt: skip


@given(st.text(alphabet="ab \n\t#'\"\\$`(){}[]<>;&|=!*x", max_size=80))
def test_any_text_has_an_answer(text: str) -> None:
    lines = text.count("\n") + 1
    assert all(1 <= command.line <= lines for command in commands_of(text))


def test_deep_nesting_ends() -> None:
    assert isinstance(commands_of("$(" * 5000), list)
    assert isinstance(commands_of('"${a:-' * 5000), list)

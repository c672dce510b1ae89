"""Running: which program a command starts, behind wrappers, variables and other shells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from crosprov.mirror.policy.shell import Assignment, Command, Word, commands_of

_BEFORE = frozenset(
    "nonfatal edo edob env sudo command builtin exec nice ionice time timeout try run xargs busybox"
    " toybox fakeroot".split()
)
_SHELLS = frozenset("sh bash dash ash ksh mksh zsh".split())
_DEEPEST = 4  # shells within shells, and variables that lead to each other
_MOST = 8  # values of a variable that are followed
_DOUBLE = re.compile(r"\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_VALUE = re.compile(r"[0-9]+[smhd]?|\{\}")  # of an option of a wrapper, such as of nice -n 19
_ASKED = re.compile(
    r"(?:\$\(|`)\s*(?:(?:type\s+-[pP]|which|command\s+-v)\s+([\w.+-]+)|tc-get([A-Z0-9_]+))"
    r"\s*(?:[|&;][^()`]*)?[)`]"
)
_VARIABLE = re.compile(
    r"\$(?:(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:\[[@*0-9]\])?(?::?-(?P<default>[^{}]*))?\})",
    re.ASCII,
)


class Run(NamedTuple):
    """Hold the words from the program on; `feeder` is the command whose output it reads."""

    words: list[Word]
    feeder: Command | None

    @property
    def program(self) -> str:
        """Name the program without its folder."""
        return self.words[0].plain.rpartition("/")[2]

    @property
    def arguments(self) -> list[str]:
        """Give what the program is told, without quotes."""
        return [word.plain for word in self.words[1:]]


class Runs:
    """Tell what commands start, given the assignments of their script.

    A variable that holds the program is followed to its values, and a text that another shell
    is given is read as well. What nobody can tell stays as it is written.
    """

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._values: dict[str, dict[str, None]] = {}
        for one in assignments:
            self._values.setdefault(one.name, {})[one.value] = None

    def of(self, command: Command) -> list[Run]:
        """List what a command starts: more than one program where a variable leaves it open."""
        return list(self._of(command.words, command.feeder, ()))

    def _of(
        self, words: list[Word], feeder: Command | None, passed: tuple[str, ...]
    ) -> Iterator[Run]:
        own, evaluated = _own_words(words)
        text = _joined(own) if evaluated else _text_for_shell(own)
        if text and len(passed) < _DEEPEST:
            for inner in commands_of(text.text):
                moved = [Word(word.text, text.line + word.line - 1) for word in inner.words]
                yield from self._of(moved, inner.feeder or feeder, (*passed, ""))
            return
        followed = False
        if own and len(passed) < _DEEPEST:
            for first, name in self._followed(own[0], passed):
                followed = True
                yield from self._of([*first, *own[1:]], feeder, (*passed, name))
        if own and not followed:
            yield Run(own, feeder)

    def _followed(self, word: Word, passed: tuple[str, ...]) -> Iterator[tuple[list[Word], str]]:
        """Yield the words that an expansion in the place of the program may stand for."""
        text = word.text.strip('"')
        asked = _ASKED.fullmatch(text)
        if asked:
            yield [Word(asked[1] or asked[2].lower(), word.line)], ""
        found = _VARIABLE.fullmatch(text)
        name = (found["bare"] or found["name"]) if found else ""
        if found is None or name in passed:
            return
        given = list(self._values.get(name, ()))[:_MOST]
        for value in given:
            yield [Word(one, word.line) for one in _words_of(value)], name
        if found["default"]:
            yield [Word(found["default"], word.line)], name
        elif not given and name.isupper():
            yield [Word(name.lower(), word.line)], name  # as tc-export and the environment set it


def _own_words(words: list[Word]) -> tuple[list[Word], bool]:
    """Give the words from the program on, and whether `eval` reads them once more."""
    at, evaluated = 0, False
    while at < len(words):
        plain = words[at].plain
        if plain == "find":
            words, at = _executed(words[at:]), 0
            continue
        if plain == "eval":
            evaluated = True
        elif not (plain.rpartition("/")[2] in _BEFORE or re.match(r"\w+\+?=", plain)):
            if not at or not (plain[:1] == "-" or _VALUE.fullmatch(plain)):
                return words[at:], evaluated
        at += 1
    return [], evaluated


def _executed(words: list[Word]) -> list[Word]:
    """Give what `find` starts for each file."""
    for at, word in enumerate(words):
        if word.plain in ("-exec", "-execdir", "-ok"):
            return words[at + 1 :]
    return []


def _text_for_shell(words: list[Word]) -> Word | None:
    """Give the text that a shell is told to run by -c; None when it is no shell."""
    if words and words[0].plain.rpartition("/")[2] in _SHELLS:
        for option, text in zip(words[1:], words[2:], strict=False):
            if re.fullmatch(r"-[a-z]*c", option.plain):
                return Word(_unquoted(text), text.line)
    return None


def _joined(words: list[Word]) -> Word | None:
    """Join what `eval` reads to one text."""
    return Word(" ".join(map(_unquoted, words)), words[0].line) if words else None


def _unquoted(word: Word) -> str:
    """Take a word's own quotes away, and leave those that stand within."""
    whole = _DOUBLE.fullmatch(word.text)
    return re.sub(r"\\([\\\"$`])", r"\1", whole[1]) if whole else word.plain


def _words_of(value: str) -> list[str]:
    """Split a value as the shell does: an array's elements, or the words of a text."""
    inner = value[1:-1] if value.startswith("(") else _unquoted(Word(value, 1))
    commands = commands_of(inner.replace("\n", " "))
    return [word.text for word in commands[-1].words] if commands else []

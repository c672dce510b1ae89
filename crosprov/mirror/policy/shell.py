"""The commands of an ebuild, read as the shell would, and never run.

What stands in a comment, in quotes, in a here-document, in the pattern of a `case` or in an
array is no command; what stands in `$(…)`, in backticks or in `<(…)` is one. Any text gives an
answer: code that no shell would take is read as far as it makes sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from crosprov.mirror.policy.shell_reader import Reader
from crosprov.mirror.policy.words import Assignment, Command, Word

__all__ = ["Assignment", "Command", "Word", "assignments_of", "commands_of"]

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(?:\[[^]]*\])?(\+?)=", re.ASCII)


def commands_of(text: str) -> list[Command]:
    """Read the commands of a text, those within others included."""
    reader = Reader(text)
    reader.read_list(0, "")
    return [command for command in reader.commands if command.words]


def assignments_of(commands: list[Command]) -> Iterator[Assignment]:
    """Find the assignments: alone, in front of a command, and as words of `local` and its kin."""
    declaring = {"local", "declare", "typeset", "export", "readonly"}
    for command in commands:
        for word in command.words:
            found = _ASSIGNED.match(word.text)
            if found:
                yield Assignment(found[1], word.text[found.end() :], word.line)
            elif command.words[0].text not in declaring:
                break

"""The words of the shell's language: words, simple commands, assignments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_QUOTES = re.compile(r"\\\r?\n|\\(.)|'([^']*)'|\$?\"|\$'", re.DOTALL)


class Word(NamedTuple):
    """Hold a word as it is written, quotes and all, with its line."""

    text: str
    line: int

    @property
    def plain(self) -> str:
        """Give the word without its quotes; variables stay as they are written."""
        return _QUOTES.sub(lambda m: m[1] or m[2] or "", self.text)


@dataclass(slots=True)
class Command:
    """Hold a simple command. `feeder` is the one whose output it reads through a pipe."""

    words: list[Word] = field(default_factory=list)
    feeder: Command | None = None

    @property
    def line(self) -> int:
        """Give the line on which it begins."""
        return self.words[0].line


class Assignment(NamedTuple):
    """Hold an assignment: the value as it is written, an array's with its brackets."""

    name: str
    value: str
    line: int

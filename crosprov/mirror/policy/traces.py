"""Traces: from a word of a value that is known back to the line of the text that wrote it.

A cache tells what SRC_URI came to be; the text has `${P}`, `${PV/_/-}` and the like in it. Each
word of the assignments becomes a pattern, in which what is known stands for itself and what only
a shell could tell stands for anything; the pattern with the most letters of its own wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from crosprov.mirror.policy.words import Assignment

_DEEPEST = 4  # variables that lead to each other
_SHORTEST = 4  # letters that words have to share when no pattern fits
_BRACES = r"\$\{(?:[^{}]|\{[^{}]*\})*+\}"
_NESTED = r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*+\))*+\)"
_PIECE = re.compile(
    rf"(?P<gap>{_BRACES}|{_NESTED}|`[^`]*`|\$[A-Za-z_]\w*)|(?P<quote>[\"'])"
    r"|\\\r?\n|\\(?P<escaped>.)|(?P<blank>\s+)|(?P<plain>[^\s\"'\\$`]+|[$`\\])",
    re.ASCII | re.DOTALL,
)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_PREFIX = re.compile(r"(?:mirror|fetch)\+(?=[A-Za-z][\w.-]*:)")
_ANYTHING = None


class Written(NamedTuple):
    """Hold a word of an assignment: its line, and its pieces; None is a piece of any letters."""

    line: int
    pieces: tuple[str | None, ...]

    @property
    def weight(self) -> int:
        """Count the letters that are its own."""
        return sum(len(piece) for piece in self.pieces if piece)

    def fits(self, word: str) -> bool:
        """Tell whether the shell may have made this word of it."""
        first, *rest = self.pieces
        if not rest:
            return first is None or first == word
        if first is not None and not word.startswith(first):
            return False
        last = rest.pop()
        at, end = len(first or ""), len(word) - len(last or "")
        for piece in rest:
            found = word.find(piece, at, end) if piece else at
            if found < 0:
                return False
            at = found + len(piece or "")
        return at <= end and (last is None or word.endswith(last))

    def shared(self, word: str) -> int:
        """Count the letters of its longest piece that stands in a word."""
        return max((len(piece) for piece in self.pieces if piece and piece in word), default=0)


class Traces:
    """Know the words that the assignments of one variable are written with.

    `known` are the variables whose values are known beforehand.
    """

    def __init__(
        self, name: str, assignments: Sequence[Assignment], known: Mapping[str, str]
    ) -> None:
        self._known = {**known, name: ""}  # what it held before is found at its own assignment
        self._values: dict[str, list[str]] = {}
        for one in assignments:
            self._values.setdefault(one.name, []).append(one.value)
        self._words = [
            word
            for one in assignments
            if one.name == name
            for word in self._written(one.value, one.line)
        ]

    def line_of(self, words: Iterable[str]) -> int:
        """Give the line that wrote the first of the words that is found; 0 when none did."""
        asked = [word for word in words if word]
        for word in asked:
            fitting = [one for one in self._words if one.fits(word)]
            if fitting:
                return max(fitting, key=lambda one: one.weight).line
        sharing = [(max(one.shared(word) for word in asked), one) for one in self._words if asked]
        best = max(sharing, key=lambda pair: pair[0], default=None)
        return best[1].line if best and best[0] >= _SHORTEST else 0

    def _written(self, value: str, line: int) -> Iterator[Written]:
        pieces: list[str | None] = []
        begin = 0
        for found in _PIECE.finditer(value):
            if found["blank"]:
                if pieces:
                    yield _word(pieces, line + value.count("\n", 0, begin))
                pieces = []
                continue
            if not pieces:
                begin = found.start()
            pieces += self._pieces_of(found, 0)
        if pieces:
            yield _word(pieces, line + value.count("\n", 0, begin))

    def _pieces_of(self, found: re.Match[str], depth: int) -> Iterator[str | None]:
        if found["gap"]:
            yield from self._value_of(found["gap"], depth)
        elif found["plain"] or found["escaped"]:
            yield found["plain"] or found["escaped"]

    def _value_of(self, gap: str, depth: int) -> Iterator[str | None]:
        """Give what an expansion stands for, as far as one assignment without blanks tells it."""
        variable = _VARIABLE.fullmatch(gap)
        name = (variable[1] or variable[2]) if variable else ""
        values = self._values.get(name, [])
        if name in self._known:
            if self._known[name]:
                yield self._known[name]
        elif len(values) != 1 or depth >= _DEEPEST or re.search(r"\s|^\(", values[0]):
            yield _ANYTHING
        else:
            for found in _PIECE.finditer(values[0]):
                yield from self._pieces_of(found, depth + 1)


def _word(pieces: list[str | None], line: int) -> Written:
    """Join neighbours, and leave out what only a prefix of EAPI 8 adds to an address."""
    joined: list[str | None] = []
    for piece in pieces:
        if joined and piece is not None and joined[-1] is not None:
            joined[-1] += piece
        elif not (joined and piece is None and joined[-1] is None):
            joined.append(piece)
    if joined and joined[0]:
        joined[0] = _PREFIX.sub("", joined[0], count=1)
    return Written(line, tuple(joined))

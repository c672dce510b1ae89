"""A place in a shell text that moves forward: blanks, comments, here-documents, lines."""

from __future__ import annotations

import re

_BLANK = re.compile(r"(?:[ \t\r\f\v]|\\\r?\n)+")
_GLOB = re.compile(r"[^()\n]*\)?")


class Cursor:
    """Stand at a place of a text; `_at` is where, `_documents` wait for the end of the line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = Lines(text)
        self._documents: list[tuple[str, bool]] = []

    def _take(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found and found.end() > self._at else self._at + 1

    def _skip_blanks(self) -> None:
        found = _BLANK.match(self._text, self._at)
        if found:
            self._at = found.end()

    def _skip_comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _skip_arithmetic(self) -> None:
        depth = 0
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return

    def _skip_glob(self) -> None:
        end = _GLOB.match(self._text, self._at)
        self._at = end.end() if end else self._at

    def _end_line(self) -> None:
        """Take the end of a line, and the here-documents that begin after it."""
        self._at += 1
        for delimiter, tabs in self._documents:
            while self._at < len(self._text):
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line = self._text[self._at : end].rstrip("\r")
                self._at = min(end + 1, len(self._text))
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self._documents.clear()


class Lines:
    """Count lines up to a place that only moves forward, mostly."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def at(self, place: int) -> int:
        if place >= self._at:
            self._line += self._text.count("\n", self._at, place)
        else:
            self._line -= self._text.count("\n", place, self._at)
        self._at = place
        return self._line

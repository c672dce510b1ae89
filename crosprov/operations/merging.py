"""Merge what we want into the bytes of a file that belongs to others: pure functions.

All that is not ours stays byte for byte: keys, comments, order, encoding, line ends. Each
function gives the same bytes when it is called with its own result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from crosprov.errors import PlanError


def merge_settings(
    before: bytes, values: Mapping[str, str | None], *, separator: str = "="
) -> bytes:
    """Give each key one line with its value; None takes all lines of a key away.

    Where a key has several lines the last one stays, in its place, for most readers obey it.
    New keys come to the end, in the order given. Raises PlanError for a key or a value that
    no line can hold.
    """
    end = _ending(before)
    lines = _lines(before)
    for key, value in values.items():
        _check_setting(key, value, separator)
        pattern = _setting_pattern(key, separator)
        places = [number for number, line in enumerate(lines) if pattern.match(line)]
        if value is None:
            lines = _without(lines, places)
        else:
            lines = _with(lines, places, _bytes(f"{key}{separator}{value}"), end)
    return b"".join(lines)


def merge_line(before: bytes, line: str, *, match: str | None = None) -> bytes:
    """Make sure of one line: in the place of those that match, or at the end.

    `match` is a regular expression that is searched in each line. Raises PlanError when it
    is none, and for a line of several lines.
    """
    _check_lines([line], "a line")
    end = _ending(before)
    lines = _lines(before)
    wanted = _bytes(line)
    if match is None:
        if any(_bare(have) == wanted for have in lines):
            return before
        return b"".join(_with(lines, [], wanted, end))
    try:
        pattern = re.compile(_bytes(match))
    except re.error as error:
        raise PlanError(f"{match!r} is not a regular expression: {error}") from None
    places = [
        number
        for number, have in enumerate(lines)
        if _bare(have) == wanted or pattern.search(_bare(have))
    ]
    return b"".join(_with(lines, places, wanted, end))


def merge_block(
    before: bytes, text: str | None, *, name: str = "crosprov", comment: str = "#"
) -> bytes:
    """Put a text between two marking lines, where they are or at the end; None removes it.

    Raises PlanError when one of the two lines is missing in the file, for then nobody knows
    where the block ends, and for a text that holds such a line itself.
    """
    first, last = _bytes(f"{comment} BEGIN {name}"), _bytes(f"{comment} END {name}")
    end = _ending(before)
    lines = _lines(before)
    blocks = _blocks(lines, first, last)
    new: list[bytes] = []
    if text is not None:
        body = [line.removesuffix(b"\r") for line in _bytes(text).removesuffix(b"\n").split(b"\n")]
        if first in body or last in body:
            raise PlanError(f"the text of block {name} holds a line that marks its own end")
        body = body if text else []
        new = [line + end for line in (first, *body, last)]
    if not blocks:
        return b"".join([*_ended(lines, end), *new]) if new else before
    for start, stop in reversed(blocks[1:]):
        del lines[start:stop]
    start, stop = blocks[0]
    lines[start:stop] = new
    return b"".join(lines)


def _blocks(lines: list[bytes], first: bytes, last: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start: int | None = None
    for number, line in enumerate(lines):
        if _bare(line) == first:
            if start is not None:
                raise _torn(first, last, start)
            start = number
        elif _bare(line) == last:
            if start is None:
                raise _torn(last, first, number)
            found.append((start, number + 1))
            start = None
    if start is not None:
        raise _torn(first, last, start)
    return found


def _torn(has: bytes, lacks: bytes, number: int) -> PlanError:
    return PlanError(
        f"line {number + 1} is `{has.decode('utf-8', 'replace')}`, and the line "
        f"`{lacks.decode('utf-8', 'replace')}` that belongs to it is missing",
        hint="put it back by hand, or take the whole block out",
    )


def _with(lines: list[bytes], places: list[int], wanted: bytes, end: bytes) -> list[bytes]:
    """Put a line in the last of some places and take the others away; append without any."""
    if not places:
        return [*_ended(lines, end), wanted + end]
    *others, last = places
    if _bare(lines[last]) != wanted or not lines[last].endswith(b"\n"):
        lines = [*lines[:last], wanted + (_end_of(lines[last]) or end), *lines[last + 1 :]]
    return _without(lines, others)


def _without(lines: list[bytes], places: Iterable[int]) -> list[bytes]:
    gone = set(places)
    return [line for number, line in enumerate(lines) if number not in gone]


def _lines(content: bytes) -> list[bytes]:
    """Split at line feeds only, which stay at the ends: other bytes may be of any encoding."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def _ended(lines: list[bytes], end: bytes) -> list[bytes]:
    if lines and not lines[-1].endswith(b"\n"):
        return [*lines[:-1], lines[-1] + end]
    return lines


def _bare(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _end_of(line: bytes) -> bytes:
    return line[len(_bare(line)) :] if line.endswith(b"\n") else b""


def _ending(content: bytes) -> bytes:
    """Give the line end that the file uses, by its first line."""
    first = content.find(b"\n")
    head = content[:first] if first >= 0 else content
    return b"\r\n" if head.endswith(b"\r") else b"\n"


def _setting_pattern(key: str, separator: str) -> re.Pattern[bytes]:
    sign = re.escape(_bytes(separator.strip()))
    between = rb"[ \t]*" + sign if sign else rb"[ \t]+"
    return re.compile(rb"[ \t]*" + re.escape(_bytes(key)) + between)


def _check_setting(key: str, value: str | None, separator: str) -> None:
    _check_lines([key, value or "", separator], f"the setting {key!r}")
    sign = separator.strip()
    if not key or key != key.strip() or key[0] == "#" or not separator:
        raise PlanError(f"{key!r} is not a key of a setting")
    if (sign and sign in key) or (not sign and len(key.split()) != 1):
        raise PlanError(f"the key {key!r} holds what separates keys from values")


def _check_lines(texts: Iterable[str], what: str) -> None:
    if any(sign in text for text in texts for sign in "\n\r\0"):
        raise PlanError(f"{what} must be one line, and it holds a line end")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

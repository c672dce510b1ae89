"""Ranges in names: dut[01:40] is dut01, dut02 … dut40.

Written as in Ansible: both ends belong to the range, `[0:10:2]` has a step, `[a:f]` are
letters, a leading zero fixes the width. With several ranges in one name the last turns
fastest.
"""

from __future__ import annotations

import re
from itertools import product
from string import ascii_lowercase, ascii_uppercase

MAX_EXPANSION = 10_000

_PIECE = re.compile(r"\[([^\[\]]*)\]")
_VALUE_RANGE = re.compile(r"\[(?:\d+:\d+|[a-z]:[a-z]|[A-Z]:[A-Z])(?::\d+)?\]")
_IPV4 = re.compile(r"\d+(?:\.\d+){3}")
_NUMBER = re.compile(r"[0-9]+")


class RangeError(ValueError):
    """A range that cannot be expanded; the message is a sentence."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def holds_range(text: str) -> bool:
    """Tell whether a value holds what is written as a range (so [::1] does not)."""
    return _VALUE_RANGE.search(text) is not None


def expand(text: str) -> tuple[str, ...]:
    """Expand every range of a name, in order; a name without one stands for itself.

    Raises RangeError for brackets that are not a range, ends in the wrong order or of
    different kinds, and for more than 10,000 names.
    """
    parts = _PIECE.split(text)
    for literal in parts[::2]:
        if "[" in literal or "]" in literal:
            raise RangeError(f"the brackets of {text} do not match", "write name[01:40]")
    return _combine(text, parts)


def expand_value(text: str) -> tuple[str, ...]:
    """Expand the ranges of a value; other brackets stay as they are.

    An IPv4 address loses the leading zeros of its range: 10.0.1.[01:40] gives 10.0.1.1.
    Raises RangeError as `expand` does.
    """
    parts: list[str] = []
    end = 0
    for found in _VALUE_RANGE.finditer(text):
        parts += [text[end : found.start()], found.group()[1:-1]]
        end = found.end()
    return tuple(_address(value) for value in _combine(text, [*parts, text[end:]]))


def _address(text: str) -> str:
    if not _IPV4.fullmatch(text):
        return text
    return ".".join(str(int(octet)) for octet in text.split("."))


def _combine(text: str, parts: list[str]) -> tuple[str, ...]:
    """Combine literals (even places) with ranges (odd places)."""
    choices: list[tuple[str, ...]] = []
    total = 1
    for place, part in enumerate(parts):
        choice = _members(part) if place % 2 else (part,)
        total *= len(choice)
        if total > MAX_EXPANSION:
            raise RangeError(f"{text} stands for more than {MAX_EXPANSION} names")
        choices.append(choice)
    return tuple("".join(chosen) for chosen in product(*choices))


def _members(body: str) -> tuple[str, ...]:
    ends = body.split(":")
    if len(ends) not in (2, 3) or not all(ends):
        raise RangeError(f"[{body}] is not a range", "write [01:40], [a:f] or [0:10:2]")
    start, end, *rest = ends
    step = _step(body, rest)
    if _NUMBER.fullmatch(start) and _NUMBER.fullmatch(end):
        return _numbers(body, start, end, step)
    for alphabet in (ascii_lowercase, ascii_uppercase):
        if len(start) == len(end) == 1 and start in alphabet and end in alphabet:
            first, last = alphabet.index(start), alphabet.index(end)
            _ordered(body, first, last)
            return tuple(alphabet[first : last + 1 : step])
    hint = "both ends are numbers, or both are single letters of one case"
    raise RangeError(f"the range [{body}] mixes kinds", hint)


def _step(body: str, rest: list[str]) -> int:
    if not rest:
        return 1
    if not _NUMBER.fullmatch(rest[0]) or len(rest[0]) > 9 or int(rest[0]) == 0:
        raise RangeError(f"the step of the range [{body}] must be a number above zero")
    return int(rest[0])


def _numbers(body: str, start: str, end: str, step: int) -> tuple[str, ...]:
    if max(len(start), len(end)) > 18:
        raise RangeError(f"the range [{body}] has too many digits")
    padded = len(start) > 1 and start.startswith("0")
    if padded and len(start) != len(end):
        hint = f"write [{start}:{end.zfill(len(start))}]"
        raise RangeError(f"the ends of the range [{body}] differ in width", hint)
    _ordered(body, int(start), int(end))
    count = (int(end) - int(start)) // step + 1
    if count > MAX_EXPANSION:
        raise RangeError(f"the range [{body}] stands for more than {MAX_EXPANSION} names")
    width = len(start) if padded else 0
    return tuple(str(number).zfill(width) for number in range(int(start), int(end) + 1, step))


def _ordered(body: str, first: int, last: int) -> None:
    if first > last:
        raise RangeError(f"the range [{body}] ends before it starts")

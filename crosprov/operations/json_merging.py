"""Merge what we want into the bytes of a JSON file that belongs to others: pure functions.

All that is not ours stays byte for byte: members, their order, white space, line ends. The
result merged once more gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crosprov.errors import PlanError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A value of JSON; None stands for a member that shall not be there."""

_MARK = "\ufeff"  # some editors begin a file with it
_SPACE = re.compile(r"[ \t\r\n]*")
_STEP = "  "  # of indentation, in what is new
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object stands in the text."""

    key: str
    start: int  # of the key
    value: int
    end: int


def merge_json(before: bytes, values: Mapping[str, Json]) -> bytes:
    """Give each member of the file's object its value; None takes a member away.

    Objects are merged member by member, everything else is replaced as a whole. New members come
    to the end, in the order given. An empty file counts as an empty object. Raises PlanError
    with the line for a file that does not hold an object, and for values that JSON does not have.
    """
    text = _text(before)
    mark = _MARK if text.startswith(_MARK) else ""
    text = text.removeprefix(_MARK)
    found = parsed(text)
    wanted = _without_none(values)
    new = _written(wanted, "", "\n")  # refuses what JSON does not have
    if not text.strip():
        return f"{mark}{new}\n".encode() if wanted else before
    end = "\r\n" if "\r\n" in text else "\n"
    if not isinstance(found, dict):
        raise PlanError("line 1 begins something other than a JSON object")
    for path, value in _leaves(values):
        text = _put(text, _skip(text, 0), path, value, end)
    return (mark + text).encode()


def parsed(text: str) -> Json:
    """Read a JSON text; an empty one is an empty object.

    Raises PlanError with the line for what is not JSON, has a member twice or is nested too
    deep: programs differ in what they make of that.
    """
    if not text.strip():
        return {}
    try:
        found: Json = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise PlanError(
            f"line {error.lineno} is not JSON: {error.msg} (column {error.colno})",
            hint="mend it by hand; JSON has neither comments nor a comma before a closing bracket",
        ) from None
    except RecursionError:
        raise PlanError("it is nested too deep") from None
    return found


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise PlanError(
                f"it has the member {key!r} twice in one object", hint="take one of them out"
            )
        found[key] = value
    return found


def _constant(word: str) -> Json:
    raise PlanError(f"{word} in it is not JSON")


def _leaves(values: Mapping[str, Json], path: tuple[str, ...] = ()) -> Iterator[
    tuple[tuple[str, ...], Json]
]:  # fmt: skip
    """List what is wanted, one by one; an empty object is wanted as such."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _put(text: str, start: int, path: tuple[str, ...], value: Json, end: str) -> str:
    """Give one member, at the end of a path of objects, its value."""
    key, *rest = path
    members = list(_members(text, start))
    known = next((member for member in members if member.key == key), None)
    if known is None:
        if value is None:
            return text
        return _add(text, start, members, key, _nested(rest, value), end)
    if rest:
        if text[known.value] == "{":
            return _put(text, known.value, tuple(rest), value, end)
        if value is None:
            return text
        value = _nested(rest, value)
    elif value is None:
        return _take(text, members, members.index(known))
    elif isinstance(value, Mapping) and text[known.value] == "{":
        return text  # an empty object is wanted: what others have in it stays
    if _same(_DECODER.raw_decode(text, known.value)[0], value):
        return text
    new = _written(value, _indentation(text, known.start) or "", end)
    return text[: known.value] + new + text[known.end :]


def _add(text: str, start: int, members: Sequence[_Member], key: str, value: Json, end: str) -> str:
    """Put a new member behind the others, or into an empty object, in the object's own style."""
    name = json.dumps(key, ensure_ascii=False)
    outer = _indentation(text, start)
    if not members:
        around = _line_indentation(text, start)
        inner = around + _STEP
        closing = text.index("}", start)
        new = f"{end}{inner}{name}: {_written(value, inner, end)}{end}{around}"
        return text[: start + 1] + new + text[closing:]
    last = members[-1]
    inner_or_none = _indentation(text, last.start)
    if inner_or_none is None:  # all in one line
        step = outer or ""
        return f"{text[: last.end]}, {name}: {_written(value, step, end)}{text[last.end :]}"
    new = f",{end}{inner_or_none}{name}: {_written(value, inner_or_none, end)}"
    return text[: last.end] + new + text[last.end :]


def _take(text: str, members: Sequence[_Member], place: int) -> str:
    """Take a member away, with the comma that parts it from its neighbour."""
    member = members[place]
    if place + 1 < len(members):
        return text[: member.start] + text[members[place + 1].start :]
    if place > 0:
        return text[: members[place - 1].end] + text[member.end :]
    return text[: member.start] + text[member.end :].lstrip(" \t\r\n")


def _members(text: str, start: int) -> Iterator[_Member]:
    """List the members of the object that begins at a place of a text that is valid JSON."""
    place = _skip(text, start + 1)
    while text[place] != "}":
        key, after = _DECODER.raw_decode(text, place)
        value = _skip(text, _skip(text, after) + 1)
        _, end = _DECODER.raw_decode(text, value)
        yield _Member(key, place, value, end)
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _indentation(text: str, place: int) -> str | None:
    """Give the white space before a place in its line; None when something else stands there."""
    before = text[text.rfind("\n", 0, place) + 1 : place]
    return before if not before.strip() and "\n" in text[:place] else None


def _line_indentation(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip())]


def _nested(path: Sequence[str], value: Json) -> Json:
    for key in reversed(path):
        value = {key: value}
    return value


def _without_none(values: Mapping[str, Json]) -> dict[str, Json]:
    """Give what a file holds in which there was nothing before."""
    found: dict[str, Json] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            inner = _without_none(value)
            if inner:
                found[key] = inner
        elif value is not None:
            found[key] = value
    return found


def _written(value: Json, indentation: str, end: str) -> str:
    """Write a value whose first line is already indented; raises PlanError when JSON lacks it."""
    try:
        text = json.dumps(_plain(value), indent=len(_STEP), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:  # an encoding error is a ValueError
        raise PlanError(f"{value!r} cannot be written as JSON: {error}") from None
    except RecursionError:
        raise PlanError("what is wanted is nested too deep") from None
    return text.replace("\n", end + indentation)


def _plain(value: object) -> object:
    """Give mappings and sequences as the types that the writer knows."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"its key {key!r} is not a text")
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: true is not 1, and the order of members says nothing."""
    return json.dumps(_plain(one), sort_keys=True) == json.dumps(_plain(other), sort_keys=True)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlanError(f"line {line} is not UTF-8, so the file is not JSON") from None

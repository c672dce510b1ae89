"""pydantic's errors in the words of crosprov: a sentence, a hint, and a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from crosprov.inventory.document import Array, Node, Path, Table, describe
from crosprov.inventory.findings import suggest
from crosprov.inventory.section import Section
from crosprov.inventory.shape import section_at

QUOTE_IT = "put it in quotes"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Hold what is said about one error; `on_key` points at the key, not at the value."""

    path: Path
    message: str
    hint: str | None
    on_key: bool = False


Words = tuple[str, str | None]


def _is_wrong(wanted: str) -> Callable[[Any, Mapping[str, Any]], Words]:
    def words(value: Any, context: Mapping[str, Any]) -> Words:
        return f"must be {wanted}, but it is {describe(value)}", None

    return words


def _text(value: Any, context: Mapping[str, Any]) -> Words:
    hint = QUOTE_IT if isinstance(value, bool | int | float) else None
    return f"must be text, but it is {describe(value)}", hint


def _number(value: Any, context: Mapping[str, Any]) -> Words:
    hint = "remove the quotes" if isinstance(value, str) and value.strip().isdigit() else None
    return f"must be a whole number, but it is {describe(value)}", hint


def _mapping(value: Any, context: Mapping[str, Any]) -> Words:
    hint = "write {} for one without keys" if value is None else None
    return f"must be a mapping, but it is {describe(value)}", hint


def _truth(value: Any, context: Mapping[str, Any]) -> Words:
    return f"must be true or false, but it is {describe(value)}", "write true or false"


def _list(value: Any, context: Mapping[str, Any]) -> Words:
    hint = "write [one, two], also for a single one" if isinstance(value, str) else None
    return f"must be a list, but it is {describe(value)}", hint


def _choice(value: Any, context: Mapping[str, Any]) -> Words:
    expected = str(context["expected"]).replace("'", "")
    hint = suggest(value, expected.replace(" or ", ", ").split(", ")) if value else None
    return f"must be {expected}", hint


def _limit(word: str, key: str) -> Callable[[Any, Mapping[str, Any]], Words]:
    def words(value: Any, context: Mapping[str, Any]) -> Words:
        return f"must be {word} {context[key]:g}, but it is {describe(value)}", None

    return words


def _refused(value: Any, context: Mapping[str, Any]) -> Words:
    return str(context["message"]), context.get("hint")


def _fixed(message: str) -> Callable[[Any, Mapping[str, Any]], Words]:
    return lambda value, context: (message, None)


WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Words]] = {
    "refused": _refused,
    "string_type": _text,
    "int_type": _number,
    "float_type": _is_wrong("a number"),
    "finite_number": _fixed("must be a finite number"),
    "bool_type": _truth,
    "tuple_type": _list,
    "mapping_type": _mapping,
    "dict_type": _mapping,
    "model_type": _mapping,
    "literal_error": _choice,
    "greater_than": _limit("above", "gt"),
    "greater_than_equal": _limit("at least", "ge"),
    "less_than_equal": _limit("at most", "le"),
    "string_too_short": _fixed("must not be empty"),
    "too_short": _fixed("must not be empty"),
}


def sentence(error: ErrorDetails, model: type[Section], tree: Node) -> Sentence:
    """Word one of pydantic's errors about a section that was read from `tree`."""
    loc = error["loc"]
    if error["type"] == "missing":
        where = _real(tree, loc[:-1])
        return Sentence(
            (*where, loc[-1]), "is required", _meaning(model, where, str(loc[-1])), True
        )
    if error["type"] == "extra_forbidden":
        path = _real(tree, loc)
        return Sentence(path, "is not a key here", _nearest(model, path), True)
    words = WORDS.get(error["type"]) or _fixed(f"is refused: {error['msg']}")
    message, hint = words(error["input"], error.get("ctx", {}))
    return Sentence(_real(tree, loc), message, hint, on_key=loc[-1:] == ("[key]",))


def _real(tree: Node, loc: Path) -> Path:
    """Drop the steps that pydantic adds for a key or for a member of a union."""
    path: list[str | int] = []
    node: Node | None = tree
    for step in loc:
        child: Node | None = None
        if isinstance(node, Table):
            child = node.get(str(step))
        elif isinstance(node, Array) and isinstance(step, int):
            child = node.items[step]
        if child is not None:
            path.append(step)
            node = child
    return tuple(path)


def _meaning(model: type[Section], where: Path, name: str) -> str | None:
    section = section_at(model, where)
    field = section.model_fields.get(name) if section else None
    return f"{name}: {field.description}" if field and field.description else None


def _nearest(model: type[Section], path: Path) -> str | None:
    section = section_at(model, path[:-1])
    if section is None:
        return None
    if (instead := section.former.get(str(path[-1]))) is not None:
        return instead
    known = list(section.model_fields)
    return suggest(str(path[-1]), known) or f"known here: {', '.join(known)}"

"""YAML as a tree whose every key and value remembers where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Point at a place in the file; lines and columns count from one."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """Hold one plain value."""

    value: Plain
    mark: Mark


@dataclass(frozen=True, slots=True)
class Array:
    """Hold a list."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold what stands behind a key; the mark is the key's."""

    node: Node
    mark: Mark


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a mapping in the order of the file."""

    entries: Mapping[str, Entry]
    mark: Mark

    def items(self) -> Iterator[tuple[str, Node]]:
        """Iterate over keys and the nodes behind them."""
        return ((key, entry.node) for key, entry in self.entries.items())

    def get(self, key: str) -> Node | None:
        """Return the node behind a key, or None."""
        entry = self.entries.get(key)
        return entry.node if entry else None


Node = Scalar | Array | Table
Path = tuple[str | int, ...]


def plain(node: Node) -> Any:
    """Return the value without its marks; lists become tuples, which strict models accept."""
    match node:
        case Scalar(value=value):
            return value
        case Array(items=items):
            return tuple(plain(item) for item in items)
        case Table():
            return {key: plain(child) for key, child in node.items()}


def kind(node: Node) -> str:
    """Name what a node is, in the words of a sentence."""
    match node:
        case Array():
            return "a list"
        case Table():
            return "a mapping"
        case Scalar(value=value):
            return describe(value)


def describe(value: object) -> str:
    """Name a value in the words of a sentence; text is not repeated, it may be a secret."""
    match value:
        case None:
            return "empty"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return "text"
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def locate(node: Node, path: Path) -> tuple[Mark, Mark]:
    """Return the marks of the key and of the value that a path leads to.

    Steps that lead nowhere are passed over, so a path into a missing key points at the
    mapping that lacks it.
    """
    key = value = node.mark
    for step in path:
        child: Node | None = None
        if isinstance(node, Table) and (entry := node.entries.get(str(step))):
            key, child = entry.mark, entry.node
        elif isinstance(node, Array) and isinstance(step, int) and step < len(node.items):
            child = node.items[step]
            key = child.mark
        if child is not None:
            node, value = child, child.mark
    return key, value

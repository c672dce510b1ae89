"""Layers of values: defaults, then groups in the order of the file, then the host's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from crosprov.inventory.document import Array, Entry, Mark, Node, Path, Scalar, Table, kind
from crosprov.inventory.findings import Findings, suggest
from crosprov.inventory.ranges import RangeError, expand_value, holds_range


def sections(
    node: Node | None,
    known: Collection[str],
    findings: Findings,
    *,
    where: str = "",
    host: str | None = None,
) -> Table:
    """Take the sections of a layer; an empty section stands for one without keys.

    What is not a section of a host is noted and left out.
    """
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return Table({}, node.mark if node else Mark(1, 1))
    if not isinstance(node, Table):
        findings.add(
            node.mark, f"must be a mapping, but it is {kind(node)}", host=host, field=where
        )
        return Table({}, node.mark)
    taken: dict[str, Entry] = {}
    for name, entry in node.entries.items():
        field = f"{where}.{name}" if where else name
        if name not in known:
            hint = suggest(name, known) or f"known here: {', '.join(known)}"
            findings.add(
                entry.mark, "is not a section of a host", host=host, field=field, hint=hint
            )
        elif isinstance(entry.node, Table):
            taken[name] = entry
        elif isinstance(entry.node, Scalar) and entry.node.value is None:
            taken[name] = Entry(Table({}, entry.mark), entry.mark)
        else:
            message = f"must be a mapping, but it is {kind(entry.node)}"
            findings.add(entry.node.mark, message, host=host, field=field)
    return Table(taken, node.mark)


def merge(layers: Iterable[Table]) -> Table:
    """Merge layers, the last one wins: mappings are merged, everything else is replaced."""
    result = Table({}, Mark(1, 1))
    for layer in layers:
        result = _merged(result, layer)
    return result


def _merged(below: Table, above: Table) -> Table:
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        under = entries.get(key)
        if under and isinstance(under.node, Table) and isinstance(entry.node, Table):
            entries[key] = Entry(_merged(under.node, entry.node), entry.mark)
        else:
            entries[key] = entry
    return Table(entries, above.mark)


class MisfitRange(Exception):
    """A range of a value that does not go with the range of the host's name."""

    def __init__(self, mark: Mark, path: Path, error: RangeError) -> None:
        super().__init__(error.message)
        self.mark = mark
        self.path = path
        self.error = error


def paired(node: Node, index: int, count: int, path: Path = ()) -> Node:
    """Give the host at `index` of a range of `count` its own part of every range in its values.

    Raises MisfitRange for a range of another length, and for one that cannot be expanded.
    """
    match node:
        case Scalar(value=str() as text) if holds_range(text):
            try:
                return Scalar(_choose(text, index, count), node.mark)
            except RangeError as error:
                raise MisfitRange(node.mark, path, error) from error
        case Array(items=items):
            places = enumerate(items)
            return Array(
                tuple(paired(item, index, count, (*path, place)) for place, item in places),
                node.mark,
            )
        case Table():
            entries = {
                key: Entry(paired(entry.node, index, count, (*path, key)), entry.mark)
                for key, entry in node.entries.items()
            }
            return Table(entries, node.mark)
    return node


def _choose(text: str, index: int, count: int) -> str:
    values = expand_value(text)
    if len(values) != count:
        message = f"stands for {len(values)} values, but the name stands for {count} hosts"
        raise RangeError(message, "both ranges must have the same length")
    return values[index]

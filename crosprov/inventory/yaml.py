"""Reading a YAML file into a document, with every syntax problem as a sentence."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from crosprov.inventory.document import Array, Entry, Mark, Node, Plain, Scalar, Table
from crosprov.inventory.findings import Findings

MAX_DEPTH = 60
MAX_VALUES = 200_000
MERGE = "<<"

_TAG = "tag:yaml.org,2002:"
_START = Mark(1, 1)


def parse(text: str, findings: Findings) -> Node | None:
    """Parse one YAML 1.2 document; None when it is empty or cannot be read at all.

    Anchors, aliases and merge keys are resolved. A key that is written twice, a tag of
    another language, an alias inside its own anchor are noted in `findings`.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except ReaderError as error:
        findings.add(_position(text, error.position), "holds a character that YAML forbids")
        return None
    except MarkedYAMLError as error:
        _syntax(error, findings)
        return None
    except (YAMLError, RecursionError) as error:
        findings.add(_START, f"is not YAML: {error}")
        return None
    return _Reader(yaml.constructor, findings).read(root) if root is not None else None


def _position(text: str, offset: int) -> Mark:
    before = text[:offset]
    return Mark(before.count("\n") + 1, offset - before.rfind("\n"))


def _syntax(error: MarkedYAMLError, findings: Findings) -> None:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else _START
    said = " ".join(str(part) for part in (error.context, error.problem) if part)
    hint = None
    if "'['" in said or "']'" in said:
        hint = 'inside [ ] and { } a text with brackets needs quotes: {host: "10.0.1.[01:40]"}'
    elif "'\\t'" in said:
        hint = "indent with spaces, YAML forbids tabs"
    elif "maximum depth" in said:
        said = f"nested deeper than {MAX_DEPTH} levels"
    elif "but found another document" in said:
        hint = "one file is one lab: remove the line with ---"
    findings.add(mark, f"is not YAML: {said}", hint=hint)


class _Reader:
    """Turn ruamel's nodes into ours; shared anchors become shared nodes."""

    def __init__(self, constructor: Any, findings: Findings) -> None:
        self._constructor = constructor
        self._findings = findings
        self._done: dict[int, tuple[Node, int]] = {}
        self._open: set[int] = set()
        self._size = 0

    def read(self, node: Any) -> Node:
        """Convert a node and count how many values it expands to."""
        mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) in self._open:
            self._findings.add(mark, f"the anchor {node.anchor} holds itself")
            return Scalar(None, mark)
        if id(node) not in self._done:
            self._open.add(id(node))
            outer, self._size = self._size, 1
            converted = self._convert(node, mark)
            self._done[id(node)] = (converted, self._size)
            self._size = outer
            self._open.discard(id(node))
        converted, size = self._done[id(node)]
        self._size += size
        if self._size > MAX_VALUES:
            message = f"anchors expand this to more than {MAX_VALUES} values"
            self._findings.add(mark, message)
            return Scalar(None, mark)
        return converted

    def _convert(self, node: Any, mark: Mark) -> Node:
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._table(node, mark)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return Array(tuple(self.read(item) for item in node.value), mark)
        if isinstance(node, ScalarNode):
            return Scalar(self._plain(node, mark), mark)
        self._foreign(node, mark)
        return Scalar(None, mark)

    def _foreign(self, node: Any, mark: Mark) -> None:
        hint = "plain YAML only; a secret is written as {env: NAME}, {file: PATH} or {command: …}"
        self._findings.add(mark, f"has the tag {node.tag}, which means nothing here", hint=hint)

    def _plain(self, node: Any, mark: Mark) -> Plain:
        value: Plain
        match str(node.tag).removeprefix(_TAG):
            case "str" | "timestamp":
                value = node.value
            case "null":
                value = None
            case "bool":
                value = self._constructor.construct_yaml_bool(node)
            case "int" | "float" as tag:
                value = self._number(node, tag, mark)
            case _:
                self._foreign(node, mark)
                value = node.value
        return value

    def _number(self, node: Any, tag: str, mark: Mark) -> Plain:
        try:
            if tag == "int":
                return int(self._constructor.construct_yaml_int(node))
            return float(self._constructor.construct_yaml_float(node))
        except ValueError:
            self._findings.add(mark, "is a number that cannot be read")
            return None

    def _table(self, node: Any, mark: Mark) -> Table:
        own: dict[str, Entry] = {}
        for key, value in node.value:
            name, place = self._key(key), Mark(key.start_mark.line + 1, key.start_mark.column + 1)
            if name is None:
                self._findings.add(place, "a key must be a single word or text")
            elif name in own:
                first = own[name].mark.line
                hint = "write <<: [*one, *two]" if name == MERGE else None
                message = f"the key {name} is already used in line {first}"
                self._findings.add(place, message, hint=hint)
            else:
                own[name] = Entry(self.read(value), place)
        source = own.pop(MERGE, None)
        inherited = self._inherited(source) if source else {}
        return Table({**inherited, **own}, mark)

    @staticmethod
    def _key(key: Any) -> str | None:
        named = isinstance(key, ScalarNode) and key.tag != f"{_TAG}null"
        return str(key.value) if named else None

    def _inherited(self, source: Entry) -> dict[str, Entry]:
        """Collect what a merge key brings; the first of several mappings wins."""
        merged: dict[str, Entry] = {}
        tables = source.node.items if isinstance(source.node, Array) else (source.node,)
        for table in tables:
            if isinstance(table, Table):
                merged = {**table.entries, **merged}
            else:
                self._findings.add(source.mark, "<< takes a mapping, or a list of mappings")
        return merged

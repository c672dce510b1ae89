"""Looking into the types of sections: what is behind a key, and which values are references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from crosprov.inventory.document import Array, Node, Path, Scalar, Table
from crosprov.inventory.fields import HostRef, Kind, MirrorRef
from crosprov.inventory.section import Section

Marker = HostRef | MirrorRef


@dataclass(frozen=True)
class Shape:
    """Hold a type without its wrapping: what was annotated, and whether null is allowed."""

    core: Any
    metadata: tuple[Any, ...] = ()
    nullable: bool = False

    @property
    def kind(self) -> str | None:
        """The name of the kind of value, where the type has one."""
        names = [item.name for item in self.metadata if isinstance(item, Kind)]
        return names[-1] if names else None

    @property
    def marker(self) -> Marker | None:
        """What the value refers to, where it refers to something."""
        found = [item for item in self.metadata if isinstance(item, HostRef | MirrorRef)]
        return found[0] if found else None

    @property
    def section(self) -> type[Section] | None:
        """The section that the value is, where it is one (of a union, the section in it)."""
        members = get_args(self.core) if _is_union(self.core) else (self.core,)
        cores = [shape_of(member).core for member in members]
        return next((core for core in cores if is_section(core)), None)

    @property
    def item(self) -> Shape | None:
        """The shape of the values of a list or mapping."""
        origin, arguments = get_origin(self.core), get_args(self.core)
        if origin is tuple:
            return shape_of(arguments[0])
        return shape_of(arguments[1]) if origin is Mapping else None

    @property
    def key(self) -> Shape | None:
        """The shape of the keys of a mapping."""
        mapping = get_origin(self.core) is Mapping
        return shape_of(get_args(self.core)[0]) if mapping else None


def is_section(core: object) -> bool:
    """Tell whether a type is a section."""
    return isinstance(core, type) and issubclass(core, Section)


def _is_union(core: object) -> bool:
    return get_origin(core) in (Union, UnionType)


def shape_of(annotation: Any, metadata: tuple[Any, ...] = ()) -> Shape:
    """Unwrap a type."""
    nullable = False
    while True:
        arguments = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation, metadata = arguments[0], (*metadata, *arguments[1:])
            continue
        if _is_union(annotation) and type(None) in arguments:
            nullable = True
            members = tuple(member for member in arguments if member is not type(None))
            annotation = Union[members]  # noqa: UP007 - the members are known only now
            continue
        return Shape(annotation, metadata, nullable)


def shape_of_field(field: FieldInfo) -> Shape:
    """Unwrap the type of a field; pydantic keeps the outer annotations beside it."""
    return shape_of(field.annotation, tuple(field.metadata))


@cache
def fields(section: type[Section]) -> Mapping[str, Shape]:
    """Return the shapes of a section's fields."""
    return {name: shape_of_field(info) for name, info in section.model_fields.items()}


def section_at(section: type[Section], path: Path) -> type[Section] | None:
    """Return the section that a path leads to; None when it leads to something else."""
    shape: Shape | None = Shape(section)
    for step in path:
        if shape is None:
            return None
        inner = shape.section
        shape = fields(inner).get(str(step)) if inner else shape.item
    return shape.section if shape else None


def references(section: type[Section], tree: Node) -> Iterator[tuple[Path, Marker, Scalar]]:
    """Find every value of a tree that names a host or a mirror, also in an invalid section."""
    if isinstance(tree, Table):
        for name, shape in fields(section).items():
            if (node := tree.get(name)) is not None:
                yield from _references(node, shape, (name,))


def _references(node: Node, shape: Shape, path: Path) -> Iterator[tuple[Path, Marker, Scalar]]:
    inner, item = shape.section, shape.item
    if shape.marker is not None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            yield path, shape.marker, node
    elif inner is not None:
        for tail, marker, scalar in references(inner, node):
            yield (*path, *tail), marker, scalar
    elif item is not None and isinstance(node, Array):
        for place, child in enumerate(node.items):
            yield from _references(child, item, (*path, place))
    elif item is not None and isinstance(node, Table):
        for key, child in node.items():
            yield from _references(child, item, (*path, key))

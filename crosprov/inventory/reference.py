"""The reference of the inventory as Markdown, made from the models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from crosprov.inventory.fields import HostRef, MirrorRef, SecretRef
from crosprov.inventory.mirror import Mirror
from crosprov.inventory.schema import host_sections
from crosprov.inventory.section import Section
from crosprov.inventory.shape import Shape, fields
from crosprov.roles.role import RoleSettings

INTRODUCTION = """\
# The inventory

An inventory is one YAML 1.2 file that says what a lab is. `crosprov init DIR` writes one to
start from, `crosprov validate FILE` tells everything that is wrong with it and touches no
host, `crosprov schema` prints its JSON Schema for editors.

This page is made from the models; `tests/inventory/test_reference.py` fails when it is old
and says how to renew it.

## The top level

| key | type | default | meaning |
|---|---|---|---|
| `lab` | name | required | name of the lab |
| `defaults` | sections | none | sections that every host has |
| `groups` | names with `hosts` and sections | none | sets of hosts, and sections for them |
| `mirrors` | names with [mirrors](#mirrors) | none | what is mirrored, apart from where |
| `hosts` | names or ranges with sections | required or `mirrors` | a section for each role |

A host that has a section plays that role, also when the section is empty or comes from a
group or from `defaults`.

**Layers.** A value of `defaults` gives way to one of a group, a group to a later group, a
group to the host's own. Mappings are merged key by key; lists and everything else are
replaced as a whole.

**Ranges.** `dut[01:40]` stands for dut01, dut02 … dut40. Both ends belong to it, a leading zero
fixes the width, `[0:10:2]` has a step, `[a:f]` are letters. A range in a value of such a host
is paired with the name: `host: 10.0.1.[01:40]` gives dut07 the address 10.0.1.7. Ranges in
`common` are text. Inside `{ }` and `[ ]` a text with brackets needs quotes.

**Groups.** `hosts` lists hosts, ranges, globs (in quotes when they begin with `*`) and other
groups.

**References.** A field that names a host needs a host that plays the role in question. The
host that is named is set up first.

**Secrets.** A secret is never written into the inventory. A field for a secret takes one of
the keys below and nothing else. Before a plan asks any host, all secrets of the chosen hosts are
read; those that cannot be are told at once, each with its line.

"""


PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}

_BARE = re.compile(r"(gs://|https://)?[A-Za-z/~][\w./ -]*|\d+(\.\d+){3}")


def reference() -> str:
    """Render the reference of every key: type, default, meaning, example."""
    parts = [INTRODUCTION, *_section("Secrets", SecretRef, 2), *_section("mirrors", Mirror, 2)]
    for name, model in host_sections().items():
        parts += _section(name, model, 2)
    return "".join(parts).rstrip() + "\n"


def _section(title: str, model: type[Section], depth: int) -> Iterator[str]:
    heading = title if title == "Secrets" else f"`{title}`"
    yield f"{'#' * depth} {heading}\n\n{_opening(model)}\n\n"
    yield "| key | type | default | meaning | example |\n|---|---|---|---|---|\n"
    shapes = fields(model)
    for name, info in model.model_fields.items():
        cells = (
            f"`{name}`",
            _type(shapes[name]),
            _default(info),
            info.description or "",
            f"`{_yaml((info.examples or [''])[0])}`",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
    yield "\n"
    for name, shape in shapes.items():
        inner = _inner(shape)
        if inner is not None and inner is not SecretRef:
            yield from _section(f"{title}.{name}", inner, depth + 1)


def _opening(model: type[Section]) -> str:
    text = " ".join((model.__doc__ or "").split())
    if issubclass(model, RoleSettings):
        if model.alone:
            text += " Stands alone."
        if model.implies:
            text += f" Implies {', '.join(f'`{role}`' for role in model.implies)}."
        if model.after:
            text += f" Applied after {', '.join(f'`{role}`' for role in model.after)}."
    return text


def _inner(shape: Shape | None) -> type[Section] | None:
    while shape is not None:
        if shape.section is not None:
            return shape.section
        shape = shape.item
    return None


def _type(shape: Shape) -> str:
    core = shape.core
    name = shape.kind or PLAIN.get(core)
    if isinstance(shape.marker, HostRef):
        name = f"host that plays `{shape.marker.role}`"
    elif isinstance(shape.marker, MirrorRef):
        name = "name under `mirrors`"
    elif get_origin(core) is Literal:
        name = " or ".join(f"`{choice}`" for choice in get_args(core))
    elif name is None and shape.key is not None and shape.item is not None:
        name = f"mapping of {_type(shape.key)} to {_type(shape.item)}"
    elif name is None and shape.item is not None:
        name = f"list of {_type(shape.item)}"
    elif name is None:
        name = "mapping, see below" if shape.section else "anything"
    return f"{name} or null" if shape.nullable and name is not None and _is_value(shape) else name


def _is_value(shape: Shape) -> bool:
    """Null is worth a word only where it is told from absent: as a value of a mapping."""
    return shape.kind == "single line"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default()
    return "none" if default in (None, (), {}) else f"`{_yaml(default)}`"


def _yaml(value: Any) -> str:
    """Write a value as flow YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(child) for child in value) + "]"
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)

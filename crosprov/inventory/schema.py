"""The JSON Schema of an inventory, made from the models, for editors and for CI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from crosprov import roles
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.mirror import Mirror
from crosprov.inventory.ssh import SshSettings
from crosprov.roles.role import RoleSettings

DIALECT = GenerateJsonSchema.schema_dialect

Json = dict[str, Any]


def host_sections() -> Mapping[str, type[SshSettings] | type[RoleSettings]]:
    """Return the model of every section that a host may have."""
    return {"ssh": SshSettings, **roles.available()}


def json_schema() -> Json:
    """Return the JSON Schema (draft 2020-12) of an inventory file.

    It is more lenient than `load_lab`: a key that is required may come from another layer,
    so only mirrors and the entries of lists have to be complete.
    """
    models = host_sections()
    mode: JsonSchemaMode = "validation"
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, mode) for model in (*models.values(), Mirror)
    ]
    references, generated = models_json_schema(wanted)
    definitions: Json = generated["$defs"]
    mirror = references[Mirror, mode]
    _soften(definitions, {_target(mirror), *_items(definitions)})
    sections = {
        name: {"anyOf": [references[model, mode], {"type": "null"}]}
        for name, model in models.items()
    }
    return {
        "$schema": DIALECT,
        "title": "crosprov inventory",
        **_mapping(_top(sections, mirror)),
        "required": ["lab"],
        "anyOf": [{"required": ["hosts"]}, {"required": ["mirrors"]}],
        "$defs": definitions,
    }


def _top(sections: Json, mirror: Json) -> Json:
    members = {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "hosts, ranges, globs and other groups",
    }
    host = {**_mapping(sections), "type": ["object", "null"]}
    group = {**_mapping({"hosts": members, **sections}), "required": ["hosts"]}
    return {
        "lab": {"type": "string", "minLength": 1, "description": "name of the lab"},
        "defaults": {**host, "description": "sections that every host has"},
        "groups": _named(group, "groups of hosts, and sections that their hosts have"),
        "mirrors": _named(mirror, "archive mirrors, by name"),
        "hosts": {
            **_named(host, "hosts, by name; dut[01:40] stands for forty of them"),
            "type": "object",
            "minProperties": 1,
        },
    }


def _mapping(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _named(value: Json, description: str) -> Json:
    return {
        "type": ["object", "null"],
        "additionalProperties": value,
        "description": description,
    }


def _soften(definitions: Json, whole: set[str]) -> None:
    """Drop what is required from the definitions that layers are merged into."""
    for name, definition in definitions.items():
        if definition.get("title") == SecretRef.__name__:
            definition |= {"minProperties": 1, "maxProperties": 1}
        elif name not in whole:
            definition.pop("required", None)


def _target(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _items(node: Any) -> set[str]:
    """Find the definitions that are entries of lists: a list is replaced as a whole."""
    if isinstance(node, list):
        return {name for child in node for name in _items(child)}
    if not isinstance(node, dict):
        return set()
    items = node.get("items")
    own = {_target(items)} if isinstance(items, dict) and "$ref" in items else set()
    return own | {name for child in node.values() for name in _items(child)}

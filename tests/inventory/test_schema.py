"""The JSON Schema agrees with the loader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from crosprov.inventory.schema import host_sections, json_schema
from tests.inventory.labs import EXAMPLES, ROOT

STARTER = ROOT / "crosprov/inventory/starter.yml"
SCHEMA = json_schema()


def _data(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", [*EXAMPLES, STARTER], ids=lambda path: path.name)
def test_sound_inventories_are_valid(path: Path) -> None:
    errors = list(Draft202012Validator(SCHEMA).iter_errors(_data(path.read_text())))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    "text",
    [
        "hosts: {a: {docker: }}",
        "lab: l",
        "lab: l\nhosts: {}",
        "lab: l\nhosts: {a: {dokcer: }}",
        "lab: l\nhosts: {a: {dut: {bord: eve}}}",
        "lab: l\nhosts: {a: {ssh: {port: 70000}}}",
        'lab: l\nhosts: {a: {ssh: {port: "22"}}}',
        "lab: l\nmirrors: {m: {kind: manual}}\nhosts: {a: {docker: }}",
        "lab: l\ngroups: {g: {docker: }}\nhosts: {a: {docker: }}",
        "lab: l\nhosts: {a: {factory_server: {admin_password: text}}}",
        "lab: l\nhosts: {a: {factory_server: {admin_password: {}}}}",
        "lab: l\nhosts: {a: {factory_server: {admin_password: {env: A, file: b}}}}",
    ],
)
def test_bad_inventories_are_not(text: str) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(_data(text))


def test_every_key_has_a_description() -> None:
    silent = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert silent == []


def test_every_section_is_in_it() -> None:
    assert set(SCHEMA["properties"]["defaults"]["properties"]) == set(host_sections())


def test_the_starter_names_its_schema() -> None:
    assert re.match(
        r"# yaml-language-server: \$schema=\./crosprov\.schema\.json\n", STARTER.read_text()
    )


def test_the_schema_beside_the_inventories_is_up_to_date() -> None:
    beside = json.loads((ROOT / "inventory/crosprov.schema.json").read_text(encoding="utf-8"))
    renew = "renew it: crosprov schema --out inventory/crosprov.schema.json"
    assert beside == json.loads(json.dumps(SCHEMA)), renew

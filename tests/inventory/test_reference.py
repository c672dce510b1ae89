"""docs/inventory.md is made from the models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from crosprov.inventory.mirror import Mirror
from crosprov.inventory.reference import reference
from crosprov.inventory.schema import host_sections
from crosprov.inventory.section import Section
from crosprov.inventory.shape import fields
from tests.inventory.labs import ROOT

RENEW = (
    "from crosprov.inventory.reference import reference; "
    "open('docs/inventory.md', 'w', encoding='utf-8').write(reference())"
)


def _models() -> Iterator[type[Section]]:
    waiting: list[type[Section]] = [*host_sections().values(), Mirror]
    while waiting:
        model = waiting.pop()
        yield model
        for shape in fields(model).values():
            inner = shape.section or (shape.item.section if shape.item else None)
            waiting += [inner] if inner else []


EXAMPLES = [
    pytest.param(model, name, info.examples, id=f"{model.__module__}.{model.__name__}.{name}")
    for model in dict.fromkeys(_models())
    for name, info in model.model_fields.items()
]


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs/inventory.md").read_text(encoding="utf-8")
    assert page == reference(), f'renew it: python -c "{RENEW}"'


def test_rendering_is_the_same_in_every_process() -> None:
    program = "from crosprov.inventory.reference import reference; print(reference(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == reference()


def test_no_cell_is_empty() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert len(rows) > 80
    assert [row for row in rows if "|  |" in row] == []


@pytest.mark.parametrize(("model", "name", "examples"), EXAMPLES)
def test_the_example_of_a_key_is_one_of_its_values(
    model: type[Section], name: str, examples: list[Any] | None
) -> None:
    assert examples, "has no example"
    try:
        model.model_validate({name: _frozen(examples[0])})
    except ValidationError as error:
        wrong = [detail for detail in error.errors() if detail["loc"][:1] == (name,)]
        assert [detail["msg"] for detail in wrong if detail["type"] != "missing"] == []


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value

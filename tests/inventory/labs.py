"""Making labs of short texts."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from crosprov.errors import InventoryError, Problem
from crosprov.inventory.lab import Lab
from crosprov.inventory.load import read_lab

ROOT = Path(__file__).parents[2]
EXAMPLES = (ROOT / "inventory/demo.yml", ROOT / "inventory/example.yml")


def lab_of(text: str, folder: Path = Path("/nowhere")) -> Lab:
    """Make the lab of a text."""
    return read_lab(dedent(text), folder / "lab.yml")


def problems_of(text: str, folder: Path = Path("/nowhere")) -> tuple[Problem, ...]:
    """Return the problems of a text, none when it is sound."""
    try:
        lab_of(text, folder)
    except InventoryError as error:
        return error.problems
    return ()

"""crosprov schema"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from crosprov.cli.options import OutOption
from crosprov.cli.output import as_json, deliver

EXAMPLES = """\
Examples:

\b
  crosprov schema --out crosprov.schema.json
  and as the first line of the inventory, for editors with a YAML language server:
  # yaml-language-server: $schema=./crosprov.schema.json

\b
  crosprov schema --of plan          what crosprov plan --format json prints
"""


class Document(StrEnum):
    """What is described."""

    inventory = "inventory"
    plan = "plan"
    report = "report"
    status = "status"


def schema(
    of: Annotated[
        Document,
        typer.Option("--of", help="The inventory, or the JSON that plan, apply or status prints."),
    ] = Document.inventory,
    out: OutOption = None,
) -> None:
    """Print a JSON Schema: of an inventory, for editors, or of what commands print as JSON."""
    deliver(as_json(_schema(of)), out)


def _schema(of: Document) -> object:
    match of:
        case Document.inventory:
            from crosprov.inventory.schema import json_schema

            return json_schema()
        case Document.plan:
            from crosprov.planning.plan import Plan

            return Plan.model_json_schema(mode="serialization")
        case Document.report:
            from crosprov.execution.apply import Report

            return Report.model_json_schema(mode="serialization")
        case Document.status:
            from crosprov.report.status import LabStatus

            return LabStatus.model_json_schema(mode="serialization")

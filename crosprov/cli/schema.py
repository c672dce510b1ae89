"""crosprov schema"""

from __future__ import annotations

from crosprov.cli.options import OutOption
from crosprov.cli.output import as_json, deliver

EXAMPLES = """\
Examples:

\b
  crosprov schema --out crosprov.schema.json
  and as the first line of the inventory, for editors with a YAML language server:
  # yaml-language-server: $schema=./crosprov.schema.json
"""


def schema(out: OutOption = None) -> None:
    """Print the JSON Schema of an inventory, with which an editor completes and checks keys."""
    from crosprov.inventory.schema import json_schema

    deliver(as_json(json_schema()), out)

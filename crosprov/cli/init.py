"""crosprov init"""

from __future__ import annotations

import os
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from crosprov.cli.output import as_json
from crosprov.errors import UsageError

INVENTORY = "lab.yml"
SCHEMA = "crosprov.schema.json"

EXAMPLES = """\
Examples:

\b
  crosprov init my-lab
  crosprov validate my-lab/lab.yml
"""


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made when it is missing.")
    ],
) -> None:
    """Write a commented inventory to start from, with the schema for editors beside it."""
    from crosprov.inventory.schema import json_schema

    starter = files("crosprov.inventory").joinpath("starter.yml").read_text(encoding="utf-8")
    written = {directory / INVENTORY: starter, directory / SCHEMA: as_json(json_schema())}
    for path in (directory, *directory.parents):
        if os.path.lexists(path) and not os.path.isdir(path):
            hint = "name a directory: crosprov init DIR"
            raise UsageError(f"{path} is a file, not a directory", hint=hint)
    for path in written:
        if os.path.lexists(path):
            hint = "choose another directory; nothing is overwritten"
            raise UsageError(f"{path} already exists", hint=hint)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in written.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from error
    inventory = directory / INVENTORY
    quoted = shlex.quote(str(inventory))
    typer.echo(f"wrote {inventory}: edit it, then crosprov validate {quoted}")

"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command answers."""

    text = "text"
    json = "json"


InventoryArgument = Annotated[
    Path, typer.Argument(metavar="INVENTORY", help="The YAML file that describes the lab.")
]
LimitOption = Annotated[
    str | None,
    typer.Option(
        "--limit",
        metavar="PATTERN",
        help="Only these hosts: names, groups, ranges and globs with commas between; "
        "!PATTERN leaves out.",
    ),
]
RoleOption = Annotated[
    str | None, typer.Option("--role", metavar="ROLE", help="Only hosts that play this role.")
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="Text for people, or JSON for programs.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write to a file, not to stdout.")
]
TwinOption = Annotated[
    bool,
    typer.Option(
        "--twin", help="Every host replaced by its virtual twin on this machine (crosprov twin up)."
    ),
]
ParallelOption = Annotated[
    int, typer.Option("--parallel", metavar="N", min=1, help="At most N hosts at once.")
]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-new-host-keys",
        help="Trust hosts that were never seen before, and remember their keys.",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("-v", "--verbose", help="Show the commands of each change, too.")
]

"""crosprov wheelhouse"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\
Examples:

\b
  crosprov wheelhouse packages       fill the folder `packages`, with a package index in reach
  and in the inventory of a controller without one:
  dev_server: {wheelhouse: packages}
  mirror: {wheelhouse: packages}
"""


def wheelhouse(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to fill.")],
) -> None:
    """Fetch the packages of what runs on hosts, to carry to a controller without an index."""
    from crosprov.wheelhouse import fill

    count = fill(folder)
    typer.echo(f"{folder} holds {count} packages for dev servers and mirrors of this version")

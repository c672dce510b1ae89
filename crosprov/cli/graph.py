"""crosprov graph"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from crosprov.cli.options import InventoryArgument, LimitOption, OutOption, RoleOption
from crosprov.cli.output import deliver

EXAMPLES = """\
Examples:

\b
  crosprov graph lab.yml
  crosprov graph lab.yml --format svg --out lab.svg
  crosprov graph lab.yml --format dot | dot -Tpdf > lab.pdf
"""


class Rendering(StrEnum):
    """How the graph is drawn."""

    text = "text"
    dot = "dot"
    svg = "svg"


def graph(
    inventory: InventoryArgument,
    limit: LimitOption = None,
    role: RoleOption = None,
    format: Annotated[
        Rendering, typer.Option("--format", help="Text, the language of Graphviz, or a drawing.")
    ] = Rendering.text,
    out: OutOption = None,
) -> None:
    """Show which hosts need which, as the waves in which they are set up. Touches no host."""
    from crosprov.inventory.drawing import as_svg
    from crosprov.inventory.graph import as_dot, as_text
    from crosprov.inventory.load import load_lab
    from crosprov.inventory.select import select

    render = {Rendering.text: as_text, Rendering.dot: as_dot, Rendering.svg: as_svg}[format]
    lab = load_lab(inventory)
    deliver(render(lab, select(lab, limit, role)), out)

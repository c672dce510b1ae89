"""crosprov rehearse"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crosprov.cli.options import (
    Format,
    FormatOption,
    InventoryArgument,
    ParallelOption,
    VerboseOption,
)

EXAMPLES = """\
Examples:

\b
  crosprov rehearse lab.yml               in CI, before the lab sees a change
  crosprov rehearse lab.yml --keep        leave the twin up to look around

Exit status: 0 the second plan was empty, 1 it was not or the twin could not be booted,
4 some hosts failed.
"""


def rehearse(
    inventory: InventoryArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the twin up afterwards.")] = False,
    parallel: ParallelOption = 32,
    format: FormatOption = Format.text,
    verbose: VerboseOption = False,
) -> None:
    """Boot a fresh twin of the lab, apply there, and fail unless a second run has nothing to do."""
    from crosprov.cli.output import as_json
    from crosprov.cli.session import open_session
    from crosprov.inventory.load import load_lab
    from crosprov.rehearsal import rehearse as run
    from crosprov.report import plan_text, run_text
    from crosprov.report.progress import progress
    from crosprov.report.style import Style
    from crosprov.twinning import twin_lab

    twin = twin_lab(load_lab(inventory))

    def say(text: str) -> None:
        typer.echo(text, err=True)

    twin.down(say)
    try:
        twin.up(say)
        session = open_session(inventory, None, None, True, parallel, False)
        with progress(sys.stderr, len(session.chosen), "rehearsing") as emit:
            result = run(session, emit)
    finally:
        if not keep:
            twin.down(say)
    if format is Format.json:
        typer.echo(as_json(result.model_dump(mode="json")), nl=False)
    else:
        style = Style.of(sys.stdout)
        typer.echo(plan_text.render(result.first, style, verbose=verbose), nl=False)
        typer.echo(run_text.render(result.report, style), nl=False)
        if result.second is not None:
            typer.echo("the second run:")
            typer.echo(plan_text.render(result.second, style, verbose=verbose), nl=False)
    raise typer.Exit(result.exit_code)

"""crosprov plan"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import (
    AcceptOption,
    Format,
    FormatOption,
    InventoryArgument,
    LimitOption,
    ParallelOption,
    RoleOption,
    TwinOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from crosprov.planning.plan import Plan

EXAMPLES = """\
Examples:

\b
  crosprov plan lab.yml
  crosprov plan lab.yml --limit canary -v          with the commands that would run
  crosprov plan lab.yml --out lab.plan && crosprov apply lab.plan
  crosprov plan lab.yml --detailed-exitcode        for CI: 2 when something would change

Exit status: 0 planned, 2 changes are pending (with --detailed-exitcode), 4 some hosts were not
reached or could not be planned, 1 the inventory has problems, 64 wrong usage.
"""


def plan(
    inventory: InventoryArgument,
    limit: LimitOption = None,
    role: RoleOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Save the plan for crosprov apply FILE."),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when changes are pending.")
    ] = False,
    twin: TwinOption = False,
    parallel: ParallelOption = 32,
    accept_new_host_keys: AcceptOption = False,
    format: FormatOption = Format.text,
    verbose: VerboseOption = False,
) -> None:
    """Show exactly what apply would change, as a diff. Writes nothing on any host."""
    from crosprov.cli.session import open_session
    from crosprov.planning.planfile import save
    from crosprov.report.progress import progress
    from crosprov.secrets import vault

    session = open_session(inventory, limit, role, twin, parallel, accept_new_host_keys)
    with session.fleet() as fleet, progress(sys.stderr, len(session.chosen), "planning") as emit:
        made = session.plan(fleet, emit)
    show_plan(made, format, verbose)
    if out is not None:
        save(made, out, vault)
        typer.echo(f"saved; apply it exactly with: crosprov apply {out}", err=True)
    raise typer.Exit(_exit_code(made, detailed_exitcode))


def show_plan(made: Plan, format: Format, verbose: bool) -> None:
    """Print a plan for people or for programs."""
    from crosprov.report.plan_text import render
    from crosprov.report.style import Style

    if format is Format.json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        typer.echo(render(made, Style.of(sys.stdout), verbose=verbose), nl=False)


def _exit_code(made: Plan, detailed: bool) -> int:
    if made.failures:
        return 4
    return 2 if detailed and not made.empty else 0

"""crosprov status"""

from __future__ import annotations

import sys

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
)

EXAMPLES = """\
Examples:

\b
  crosprov status lab.yml
  crosprov status lab.yml --role dut --format json

Exit status: 0 all in order, 2 drift or a service that is not ready, 4 some hosts were not
reached, 1 the inventory has problems, 64 wrong usage.
"""


def status(
    inventory: InventoryArgument,
    limit: LimitOption = None,
    role: RoleOption = None,
    twin: TwinOption = False,
    parallel: ParallelOption = 32,
    accept_new_host_keys: AcceptOption = False,
    format: FormatOption = Format.text,
) -> None:
    """Tell how each host is: drift from the inventory, and whether its services answer."""
    from crosprov.cli.session import open_session
    from crosprov.execution.health import unready_questions
    from crosprov.execution.runner import ThreadRunner
    from crosprov.report.progress import progress
    from crosprov.report.status import render, status_of
    from crosprov.report.style import Style

    session = open_session(inventory, limit, role, twin, parallel, accept_new_host_keys)
    with session.fleet() as fleet:
        with progress(sys.stderr, len(session.chosen), "looking") as emit:
            plan = session.plan(fleet, emit)
        found = status_of(plan, unready_questions(plan, fleet, ThreadRunner(parallel)))
    if format is Format.json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        typer.echo(render(found, Style.of(sys.stdout)), nl=False)
    raise typer.Exit(found.exit_code)

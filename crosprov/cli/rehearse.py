"""crosprov rehearse"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.failure import INTERRUPTED, tell
from crosprov.cli.options import (
    Format,
    FormatOption,
    InventoryArgument,
    ParallelOption,
    VerboseOption,
)
from crosprov.errors import UsageError

if TYPE_CHECKING:
    from crosprov.rehearsal import Rehearsal
    from crosprov.twin.lab import TwinLab

EXAMPLES = """\
Examples:

\b
  crosprov rehearse lab.yml               in CI, before the lab sees a change
  crosprov rehearse lab.yml --keep        leave the twin up to look around
  crosprov rehearse lab.yml --fresh       in place of the twin that is up

Exit status: 0 the second plan was empty, 1 it was not or the twin could not be booted,
4 some hosts failed, 64 wrong usage or the lab has a twin already, 130 stopped by Ctrl-C.
"""


def rehearse(
    inventory: InventoryArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the twin up afterwards.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace the lab's twin when there is one already.")
    ] = False,
    parallel: ParallelOption = 32,
    format: FormatOption = Format.text,
    verbose: VerboseOption = False,
) -> None:
    """Boot a fresh twin of the lab, apply there, and fail unless a second run has nothing to do."""
    from crosprov.inventory.load import load_lab
    from crosprov.inventory.secret_places import check_secrets
    from crosprov.secrets import vault
    from crosprov.twinning import twin_lab

    lab = load_lab(inventory)
    check_secrets(lab, lab.hosts, vault)  # sooner than a twin is booted in vain
    twin = twin_lab(lab)
    down = f"crosprov twin down {shlex.quote(str(inventory))}"
    if not fresh and twin.list():
        raise UsageError(
            f"lab {twin.spec.lab} has a twin already, and a rehearsal begins with a fresh one",
            hint=f"{down} takes it down, --fresh replaces it",
        )
    result, stopped = _rehearsed(inventory, twin, keep, parallel)
    if result is not None:
        _show(result, format, verbose)
    if stopped:
        left = f"its twin is still there: {down}" if twin.exists else "its twin is taken down"
        tell("the rehearsal was stopped by the keyboard", left)
    elif keep:
        typer.echo(f"the twin is still up; take it down with: {down}", err=True)
    raise typer.Exit(INTERRUPTED if stopped or result is None else result.exit_code)


def _rehearsed(
    inventory: Path, twin: TwinLab, keep: bool, parallel: int
) -> tuple[Rehearsal | None, bool]:
    """Give what came out, None when it did not come so far, and whether it was stopped."""
    from crosprov.cli.session import open_session
    from crosprov.rehearsal import rehearse as run
    from crosprov.report.progress import progress

    result, stopped = None, False
    try:
        with _fresh(twin, keep):
            session = open_session(inventory, None, None, True, parallel, False)
            result = run(session, lambda hosts, title: progress(sys.stderr, hosts, title))
            stopped = session.stop.is_set()
    except KeyboardInterrupt:
        stopped = True
    return result, stopped


@contextmanager
def _fresh(twin: TwinLab, keep: bool) -> Iterator[None]:
    """Boot a twin with new disks; take it down at the end, however that comes."""

    def say(text: str) -> None:
        typer.echo(text, err=True)

    twin.down(say)
    try:
        twin.up(say)
        yield
    finally:
        if not keep:
            twin.down(say)


def _show(result: Rehearsal, format: Format, verbose: bool) -> None:
    from crosprov.cli.output import as_json
    from crosprov.report import plan_text, run_text
    from crosprov.report.style import Style

    if format is Format.json:
        typer.echo(as_json(result.model_dump(mode="json")), nl=False)
        return
    style = Style.of(sys.stdout)
    typer.echo(plan_text.render(result.first, style, verbose=verbose), nl=False)
    typer.echo(run_text.render(result.report, style), nl=False)
    if result.second is not None:
        typer.echo("the second run:")
        typer.echo(plan_text.render(result.second, style, verbose=verbose), nl=False)

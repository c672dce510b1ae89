"""crosprov apply"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import (
    AcceptOption,
    Format,
    FormatOption,
    LimitOption,
    ParallelOption,
    RoleOption,
    TwinOption,
    VerboseOption,
)
from crosprov.cli.plan import show_plan
from crosprov.errors import UsageError

if TYPE_CHECKING:
    from crosprov.execution.apply import Report
    from crosprov.planning.plan import Plan
    from crosprov.session import Session

EXAMPLES = """\
Examples:

\b
  crosprov apply lab.yml                     show the plan, ask, apply, verify
  crosprov apply lab.yml --yes               for CI
  crosprov apply lab.yml --limit canary      begin with a few
  crosprov apply lab.plan                    a saved plan, exactly, or not at all

A host whose inventory says `reboot: ask` is named and asked for once more before it is rebooted,
so is data that a plan deletes for good. --yes and a saved plan are consent.

Exit status: 0 every host is as the inventory says, 3 a host no longer looks as it did when the
plan was made, 4 some hosts failed or were not reached, 1 the inventory has problems, 64 wrong
usage, 130 stopped by Ctrl-C.
"""
INTERRUPTED = 130


def apply(
    source: Annotated[
        Path, typer.Argument(metavar="INVENTORY|PLANFILE", help="An inventory, or a saved plan.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, not for reboots either.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and stop; nothing is written.")
    ] = False,
    limit: LimitOption = None,
    role: RoleOption = None,
    twin: TwinOption = False,
    parallel: ParallelOption = 32,
    accept_new_host_keys: AcceptOption = False,
    format: FormatOption = Format.text,
    verbose: VerboseOption = False,
) -> None:
    """Make the hosts what the inventory says: plan, show, ask, apply, verify."""
    from crosprov.cli.session import open_session
    from crosprov.planning.planfile import looks_like_plan

    if looks_like_plan(source):
        if limit or role or twin or accept_new_host_keys:
            raise UsageError(
                "a saved plan is applied exactly: --limit, --role, --twin and "
                "--accept-new-host-keys do not go with it",
                hint="make another plan with them",
            )
        raise typer.Exit(_apply_file(source, yes, dry_run, parallel, format, verbose))
    session = open_session(source, limit, role, twin, parallel, accept_new_host_keys)
    raise typer.Exit(_apply_inventory(session, yes, dry_run, format, verbose))


def _apply_inventory(
    session: Session, yes: bool, dry_run: bool, format: Format, verbose: bool
) -> int:
    from crosprov.report.progress import progress

    if not (yes or dry_run):
        _need_terminal()
    with session.fleet() as fleet:
        with progress(sys.stderr, len(session.chosen), "planning") as emit:
            plan = session.plan(fleet, emit)
        if not plan.empty or dry_run:
            if format is Format.text or dry_run:
                show_plan(plan, format, verbose)
        if dry_run:
            return 4 if plan.failures else 0
        asked = not yes and not plan.empty
        if asked and not (_agreed(plan) and _reboots_agreed(plan) and _losses_agreed(plan)):
            return 0
        with progress(sys.stderr, len(plan.hosts), "applying") as emit:
            # The person may have taken a while: what is applied must be what was shown.
            report = session.apply(plan, fleet, emit, check_first=asked)
    return _told(report, format, session.stop.is_set())


def _apply_file(
    path: Path, yes: bool, dry_run: bool, parallel: int, format: Format, verbose: bool
) -> int:
    import threading

    from crosprov.planning.planfile import load
    from crosprov.report.progress import progress
    from crosprov.secrets import vault
    from crosprov.session import apply_saved

    plan = load(path, vault)
    where = "the virtual twin of " if plan.twin else ""
    typer.echo(f"a plan of {where}{plan.lab}, made at {plan.created}", err=True)
    if format is Format.text or dry_run:
        show_plan(plan, format, verbose)
    if dry_run:
        return 4 if plan.failures else 0
    if not yes and not plan.empty:
        _need_terminal()
        if not _agreed(plan):
            return 0
    stop = threading.Event()
    with progress(sys.stderr, len(plan.hosts), "applying") as emit:
        report = apply_saved(plan, emit, parallel=parallel, stop=stop)
    return _told(report, format, stop.is_set())


def _need_terminal() -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on, and nothing is changed unasked",
            hint="look at crosprov plan, then apply with --yes",
        )


def _agreed(plan: Plan) -> bool:
    changed = sum(not host.empty for host in plan.hosts)
    what = "twin" if plan.twin else "host"
    hosts = f"1 {what}" if changed == 1 else f"{changed} {what}s"
    return _confirmed(f"Apply this to {hosts} of {plan.lab}?", "nothing was changed")


def _reboots_agreed(plan: Plan) -> bool:
    """Ask for the reboots apart, where the inventory does not allow them once and for all."""
    from crosprov.report.style import names

    hosts = [host.host for host in plan.hosts if host.asks_to_reboot]
    if not hosts:
        return True
    without = ",".join(f"!{name}" for name in hosts)
    return _confirmed(
        f"This reboots {names(hosts)}. Go on?",
        "nothing was changed; to apply what needs no reboot, set `reboot: never` for "
        f"{names(hosts)}, or leave them out: --limit '{without}'",
    )


def _losses_agreed(plan: Plan) -> bool:
    """Ask apart for each host on which data is deleted for good."""
    return all(
        _confirmed(
            f"This deletes {', '.join(host.destroys)} on {host.host}, for good. Go on?",
            "nothing was changed; to keep the data, take `delete_data: true` out of the inventory",
        )
        for host in plan.hosts
        if host.destroys
    )


def _confirmed(question: str, otherwise: str) -> bool:
    # Nothing is under way while a person thinks, so Ctrl-C ends the program at once.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = typer.confirm(question, default=False)
    finally:
        signal.signal(signal.SIGINT, handler)
    if not agreed:
        typer.echo(otherwise)
    return agreed


def _told(report: Report, format: Format, stopped: bool) -> int:
    from crosprov.report.run_text import render
    from crosprov.report.style import Style

    if format is Format.json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        typer.echo(render(report, Style.of(sys.stdout)), nl=False)
    if stopped:
        return INTERRUPTED
    return 0 if report.converged else 4

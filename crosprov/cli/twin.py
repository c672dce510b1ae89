"""crosprov twin"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import Format, FormatOption, InventoryArgument
from crosprov.errors import TwinError, UsageError

if TYPE_CHECKING:
    from crosprov.twin.lab import TwinLab

app = typer.Typer(help="Boot the virtual twin of a lab on this machine, and take it down.")

_HOST = Annotated[str, typer.Argument(metavar="HOST", help="A host of the inventory.")]
_ALL = Annotated[bool, typer.Option("--all", help="All labs on this machine, however left.")]
_YES = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --all.")]
_HEADING = ("HOST", "LAB", "KIND", "ADDRESS", "REACHED AT", "STATE")


@app.command(epilog="Example:\n\n\b\n  crosprov twin up lab.yml && crosprov apply --twin lab.yml")
def up(inventory: InventoryArgument) -> None:
    """Boot every host of an inventory as a container of this machine, each with its address."""
    _twin(inventory).up(_progress)
    _progress(f"look around with: crosprov twin ssh {shlex.quote(str(inventory))} HOST")


@app.command("list")
def list_(
    inventory: Annotated[
        Path | None, typer.Argument(metavar="[INVENTORY]", help="One lab; without it all labs.")
    ] = None,
    format: FormatOption = Format.text,
) -> None:
    """List the twins with their addresses, and whether they run."""
    from crosprov.cli.output import as_json
    from crosprov.twin.lab import find_labs

    labs = [_twin(inventory)] if inventory is not None else find_labs()
    rows = [(lab.spec.lab, twin) for lab in labs for twin in lab.list()]
    if format is Format.json:
        typer.echo(
            as_json(
                [
                    {
                        "lab": lab, "host": t.name, "kind": t.kind.value, "address": t.address,
                        "management": str(t.management), "running": t.running, "pid": t.pid,
                    }
                    for lab, t in rows
                ]
            ),
            nl=False,
        )  # fmt: skip
        return
    if not rows:
        typer.echo("no twin is up")
        return
    states = (f"runs, pid {t.pid}" if t.running else "is off" for _, t in rows)
    table = [
        (t.name, lab, t.kind.value, t.address, str(t.management), state)
        for (lab, t), state in zip(rows, states, strict=True)
    ]
    for line in _columns([_HEADING, *table]):
        typer.echo(line)


@app.command(epilog="Example:\n\n\b\n  crosprov twin down lab.yml\n  crosprov twin down my-lab")
def down(
    lab: Annotated[
        str | None,
        typer.Argument(
            metavar="[INVENTORY|LAB]",
            help="The lab to take down: its inventory, or its name as list shows it.",
        ),
    ] = None,
    all: _ALL = False,
    yes: _YES = False,
) -> None:
    """Take a lab's twin down and remove all that it made, also after a crash."""
    from crosprov.twin.lab import find_labs
    from crosprov.twinning import twin_to_remove

    if all == (lab is not None):
        raise UsageError("name an inventory or a lab, or give --all")
    if lab is not None:
        twin_to_remove(lab).down(_progress)
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on, and labs of others may be up",
            hint="look at crosprov twin list, then crosprov twin down --all --yes",
        )
    labs = find_labs()
    names = ", ".join(found.spec.lab for found in labs)
    if not labs:
        typer.echo("no twin is up")
    elif yes or typer.confirm(f"Take down {names}, with all that was written there?"):
        for found in labs:
            found.down(_progress)
    else:
        typer.echo("nothing was taken down")


@app.command(epilog="Example:\n\n\b\n  crosprov twin stop lab.yml dut01")
def stop(inventory: InventoryArgument, host: _HOST) -> None:
    """Cut the power of one twin; its disk stays."""
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import booted

    booted(load_lab(inventory), host).stop(host)
    again = f"crosprov twin start {shlex.quote(str(inventory))} {host}"
    _progress(f"{host} is off, its disk stays; on again with: {again}")


@app.command(epilog="Example:\n\n\b\n  crosprov twin start lab.yml dut01")
def start(inventory: InventoryArgument, host: _HOST) -> None:
    """Switch one twin on again, with its disk as it was; return when it can be logged in to."""
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import booted

    booted(load_lab(inventory), host).start(host)
    _progress(f"{host} is up")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example:\n\n\b\n  crosprov twin ssh lab.yml dev1 -- systemctl status nginx",
)
def ssh(
    context: typer.Context,
    inventory: InventoryArgument,
    host: _HOST,
) -> None:
    """Log in to a twin, or run a command there; ends with the command's own exit status."""
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import booted

    twin = booted(load_lab(inventory), host)
    if not any(status.name == host and status.running for status in twin.list()):
        start = f"crosprov twin start {shlex.quote(str(inventory))} {host}"
        raise TwinError(f"the twin of {host} is off", hint=f"{start} switches it on")
    command = [*twin.ssh_command(host), *context.args]
    sys.stdout.flush()
    os.execvp(command[0], command)


def _twin(inventory: Path) -> TwinLab:
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import twin_lab

    return twin_lab(load_lab(inventory))


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _progress(text: str) -> None:
    typer.echo(text, err=True)

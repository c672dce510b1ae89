"""crosprov twin"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import Format, FormatOption, InventoryArgument
from crosprov.errors import TwinError, UsageError

if TYPE_CHECKING:
    from crosprov.twin.lab import TwinLab

app = typer.Typer(help="Boot the virtual twin of a lab on this machine, and take it down.")

_ALL = Annotated[bool, typer.Option("--all", help="All labs on this machine, however left.")]


@app.command(epilog="Example:\n\n\b\n  crosprov twin up lab.yml && crosprov apply --twin lab.yml")
def up(inventory: InventoryArgument) -> None:
    """Boot every host of an inventory as a container of this machine, each with its address."""
    _twin(inventory).up(_progress)
    typer.echo(f"look around with: crosprov twin ssh {inventory} HOST", err=True)


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
    for lab, t in rows:
        state = f"runs, pid {t.pid}" if t.running else "is off"
        typer.echo(
            f"{lab}  {t.name:16} {t.kind.value:7} {t.address:16} {t.management!s:16} {state}"
        )
    if not rows:
        typer.echo("no twin is up")


@app.command()
def down(
    inventory: Annotated[
        Path | None, typer.Argument(metavar="[INVENTORY]", help="The lab to take down.")
    ] = None,
    all: _ALL = False,
) -> None:
    """Take a lab's twin down and remove all that it made, also after a crash."""
    from crosprov.twin.lab import find_labs

    if all == (inventory is not None):
        raise UsageError("name an inventory, or give --all")
    for lab in find_labs() if all else [_twin(Path(str(inventory)))]:
        lab.down(_progress)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example:\n\n\b\n  crosprov twin ssh lab.yml dev1 -- systemctl status nginx",
)
def ssh(
    context: typer.Context,
    inventory: InventoryArgument,
    host: Annotated[str, typer.Argument(metavar="HOST", help="A host of the inventory.")],
) -> None:
    """Log in to a twin, or run a command there; ends with the command's own exit status."""
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import twin_lab

    lab = load_lab(inventory)
    if host not in lab.hosts:
        raise UsageError(f"{host} is no host of {lab.name}", hint=f"hosts: {', '.join(lab.hosts)}")
    twin = twin_lab(lab)
    if not any(status.name == host and status.running for status in twin.list()):
        raise TwinError(f"the twin of {host} is not up", hint=f"crosprov twin up {inventory}")
    command = [*twin.ssh_command(host), *context.args]
    sys.stdout.flush()
    os.execvp(command[0], command)


def _twin(inventory: Path) -> TwinLab:
    from crosprov.inventory.load import load_lab
    from crosprov.twinning import twin_lab

    return twin_lab(load_lab(inventory))


def _progress(text: str) -> None:
    typer.echo(text, err=True)

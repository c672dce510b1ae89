"""crosprov validate"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from crosprov.cli.options import Format, FormatOption, InventoryArgument, LimitOption, RoleOption
from crosprov.cli.output import as_json
from crosprov.errors import InventoryError
from crosprov.report.style import count

if TYPE_CHECKING:
    from crosprov.errors import Problem
    from crosprov.inventory.lab import Lab

EXAMPLES = """\
Examples:

\b
  crosprov validate lab.yml
  crosprov validate lab.yml --limit 'dut*,!canary'     does the pattern choose what I think?
  crosprov validate lab.yml --format json | jq .problems

Exit status: 0 the inventory is sound, 1 it has problems, 64 wrong usage.
"""


def validate(
    inventory: InventoryArgument,
    limit: LimitOption = None,
    role: RoleOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Check an inventory and tell everything that is wrong with it. Touches no host."""
    from crosprov.inventory.absent_files import absent_files
    from crosprov.inventory.load import load_lab
    from crosprov.inventory.select import select

    try:
        lab = load_lab(inventory)
    except InventoryError as error:
        if format is not Format.json:
            raise
        problems = [asdict(problem) for problem in error.problems]
        typer.echo(as_json({"valid": False, "problems": problems}), nl=False)
        raise typer.Exit(error.exit_code) from None
    chosen = select(lab, limit, role) if lab.hosts or limit or role else ()
    absent = absent_files(lab, chosen)
    if format is Format.json:
        typer.echo(as_json(_described(lab, chosen, absent)), nl=False)
    else:
        typer.echo(_summary(lab, chosen) + _told(absent), nl=False)


def _described(lab: Lab, chosen: tuple[str, ...], absent: tuple[Problem, ...]) -> dict[str, object]:
    hosts = [lab.hosts[name] for name in chosen]
    return {
        "valid": True,
        "problems": [],
        "absent": [asdict(file) for file in absent],
        "lab": lab.name,
        "hosts": [
            {
                "name": host.name,
                "address": host.address,
                "roles": list(host.roles),
                "groups": list(host.groups),
                "needs": list(lab.targets[host.name]),
            }
            for host in hosts
        ],
        "groups": {name: list(members) for name, members in lab.groups.items()},
        "mirrors": list(lab.mirrors),
    }


def _summary(lab: Lab, chosen: tuple[str, ...]) -> str:
    counted = Counter(role for name in chosen for role in lab.hosts[name].roles)
    lines = [f"{lab.name} is sound: {_hosts(len(chosen))}"]
    if len(chosen) != len(lab.hosts):
        lines[0] += f" of {len(lab.hosts)} chosen"
        lines += [f"  {name}  {lab.hosts[name].address}" for name in chosen]
    if not lab.hosts:
        lines[0] += f" and {count(len(lab.mirrors), 'mirror')}"
    width = max(map(len, counted), default=0)
    lines += [f"  {role:{width}}  {_hosts(number)}" for role, number in sorted(counted.items())]
    return "\n".join(lines) + "\n"


def _told(absent: tuple[Problem, ...]) -> str:
    if not absent:
        return ""
    return "\n".join(["a plan will need these:", *(f"  {file}" for file in absent)]) + "\n"


def _hosts(number: int) -> str:
    return "1 host" if number == 1 else f"{number} hosts"

"""Files of the controller that an inventory names and that are not there.

That is no fault of the inventory: a bundle may still have to be made, from this very inventory, and
a plan may be made on another controller. So `validate` tells it, and nothing else asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path as File

from crosprov.errors import Problem
from crosprov.inventory.document import Path, locate
from crosprov.inventory.findings import Findings
from crosprov.inventory.lab import Lab
from crosprov.inventory.section import Section


def absent_files(lab: Lab, hosts: Collection[str]) -> tuple[Problem, ...]:
    """Tell which files and folders the roles of hosts name and the controller lacks."""
    findings = Findings(str(lab.path))
    for name in hosts:
        host = lab.hosts[name]
        for role, settings in host.roles.items():
            for path, file in _files(settings, (role,)):
                if not file.exists():
                    field = ".".join(map(str, path))
                    mark = locate(host.source, path)[1]
                    findings.add(mark, f"{file} does not exist", host=name, field=field)
    return findings.problems()


def _files(value: object, path: Path) -> Iterator[tuple[Path, File]]:
    match value:
        case File():
            yield path, value
        case Section():
            for name in type(value).model_fields:
                yield from _files(getattr(value, name), (*path, name))
        case Mapping():
            for key, inner in value.items():
                yield from _files(inner, (*path, str(key)))
        case tuple() | list():
            for place, inner in enumerate(value):
                yield from _files(inner, (*path, place))

"""Faults that a test asks of Dome, in a file that it writes into Dome's log folder.

`faults.json` is an object with any of these keys: `status` (path: status code), `hang` (paths
whose requests get no answer while they are listed), `refuse_projects` (names that cannot be
made), `fail_enable` (names whose Umpire cannot be started), `fail_migrate` (true: the
migration of the database fails), `fail_uwsgi` (true: uwsgi ends at its start).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from crosprov.twin.factory import places


@dataclass(frozen=True)
class Faults:
    status: dict[str, int] = field(default_factory=dict)
    hang: tuple[str, ...] = ()
    refuse_projects: tuple[str, ...] = ()
    fail_enable: tuple[str, ...] = ()
    fail_migrate: bool = False
    fail_uwsgi: bool = False


def wanted() -> Faults:
    """Read the faults asked for; none without the file, or while it is being written."""
    try:
        asked = json.loads((places.DOME_LOG / "faults.json").read_bytes())
    except (OSError, ValueError):
        return Faults()
    return Faults(
        status={str(path): int(code) for path, code in asked.get("status", {}).items()},
        hang=tuple(asked.get("hang", ())),
        refuse_projects=tuple(asked.get("refuse_projects", ())),
        fail_enable=tuple(asked.get("fail_enable", ())),
        fail_migrate=bool(asked.get("fail_migrate")),
        fail_uwsgi=bool(asked.get("fail_uwsgi")),
    )

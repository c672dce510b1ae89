"""Projects of Dome, each with its Umpire, through Dome's own REST interface.

A project's container is Dome's: what it was made from is compared with what Dome gives it
(CreateUmpireContainer of py/dome/backend/models.py, `umpire run` of setup/cros_docker.sh, June
2023). One that differs is made anew by disabling and enabling the project; its data stays. The
script of a change looks again before each step, so a run that was killed is finished by the next.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from crosprov.facts.docker import short_id
from crosprov.facts.dome import DomeState
from crosprov.facts.umpire import UmpireState
from crosprov.inventory.factory import UMPIRE_OFFSETS
from crosprov.operations.docker_daemon import need_docker, what_docker_has
from crosprov.operations.dome_requests import PROJECT_TIME, Dome, functions
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.project_scripts import ABSENT, DELETED, DISABLED, ENABLED
from crosprov.operations.project_wish import (
    State,
    Wish,
    dome_state,
    made_anew,
    made_from,
    umpire_state,
    why_unknown,
)
from crosprov.planning.plan import Action

_AFTER = "(known after apply)"


@dataclass(slots=True)
class _Differences:
    """What differs, for the note; nothing when both are empty."""

    before: dict[str, str | None] = field(default_factory=dict)
    after: dict[str, str | None] = field(default_factory=dict)
    anew: list[str] = field(default_factory=list)

    def add(self, what: str, before: str | None, after: str) -> None:
        """Note one thing that differs."""
        if before is not None:
            self.before[what] = before
        self.after[what] = after


@operation
def project(wish: Wish, /, *, dome: Dome) -> Commands:
    """Make a project of Dome what it shall be, with an Umpire of the image that is there now.

    An Umpire that was made by hand and is as Dome would make it is adopted. When the new one
    does not come up, the project goes back to its old port, or away if it is new. Raises
    PlanError where Docker does not answer and nothing in this plan starts it.
    """
    seen = umpire_state(dome, wish)  # first: others ask Dome, and so all is asked at once
    rows = dome_state(dome)
    known = need_docker(seen.docker, f"the project {wish.name} runs in a container")
    unknown = _unknown(rows) if known else (what_docker_has(seen.docker),)
    found = _compare(dome, wish, rows, seen)
    if not (unknown and _matters(wish, seen)) and not (found.before or found.after):
        return
    if wish.state is State.ENABLED:
        effects().recreated.add(wish.container)
    yield Noted(_script(dome, wish), _note(dome, wish, rows, seen, found, unknown))


@operation
def release(wish: Wish, others: Sequence[Wish], /, *, dome: Dome) -> Commands:
    """Disable a project that moves to another port, when its old one is wanted by another project.

    Its own change enables it again; so projects can trade their ports.
    """
    rows = dome_state(dome)
    row = rows.rows.get(wish.name)
    if row is None or not row.enabled or row.port in (None, wish.base):
        return
    heirs = [
        one.name for one in others if one.state is State.ENABLED and _overlap(one.base, row.port)
    ]
    if not heirs:
        return
    note = Note(
        "project", wish.name, Action.UPDATE,
        before={"project": "enabled", "umpire_port": str(row.port)},
        after={"project": f"disabled at first: its port is to be that of {', '.join(heirs)}"},
        within=PROJECT_TIME,
    )  # fmt: skip
    yield Noted(_script(dome, replace(wish, state=State.ABSENT)), note)


def _overlap(base: int, port: int | None) -> bool:
    return port is not None and abs(base - port) <= max(UMPIRE_OFFSETS)


def _unknown(rows: DomeState) -> tuple[str, ...]:
    return () if rows.known else (f"what Dome knows: {why_unknown()}",)


def _matters(wish: Wish, seen: UmpireState) -> bool:
    """Tell whether it matters that Dome could not be asked: nothing is disabled on a bare host."""
    return wish.state in (State.ENABLED, State.DISABLED) or bool(seen.status) or seen.data


def _compare(dome: Dome, wish: Wish, rows: DomeState, seen: UmpireState) -> _Differences:
    found = _Differences()
    row = rows.rows.get(wish.name)
    if wish.state is State.DELETED:
        if row is not None or seen.data or seen.status:
            found.add("project", _state(rows, wish), "deleted, with all its data")
            found.before["data"], found.after["data"] = dome.data(wish.name), None
        return found
    if wish.state is not State.ENABLED:
        gone = wish.state is State.ABSENT and row is None
        if (row is not None and row.enabled) or (row is None and not gone and rows.known):
            found.add("project", _state(rows, wish), "disabled")
        if seen.status:
            found.add("container", seen.status, "removed")
        return found
    if rows.known and (row is None or not row.enabled):
        found.add("project", _state(rows, wish), "enabled")
    if rows.known and (row is None or row.port != wish.base):
        found.add("umpire_port", str(row.port) if row and row.port else None, str(wish.base))
    if seen.docker == "ok":
        _compare_container(dome, wish, seen, found)
    return found


def _state(rows: DomeState, wish: Wish) -> str | None:
    row = rows.rows.get(wish.name)
    return None if row is None else "enabled" if row.enabled else "disabled"


def _compare_container(dome: Dome, wish: Wish, seen: UmpireState, found: _Differences) -> None:
    if not seen.status:
        found.after["container"] = "made"
        return
    if seen.status != "running":
        found.add("container", seen.status, "running")
    found.anew = made_anew(dome, wish, seen)
    if not found.anew:
        return
    found.after["made anew"] = "; ".join(found.anew)
    if effects().image_differs(dome.image, seen.image, seen.wanted_image):
        coming = effects().images.get(dome.image, seen.wanted_image)
        found.add("image id", short_id(seen.image), short_id(coming) or _AFTER)


def _note(
    dome: Dome,
    wish: Wish,
    rows: DomeState,
    seen: UmpireState,
    found: _Differences,
    unknown: tuple[str, ...],
) -> Note:
    if unknown:
        found.after.setdefault("project", wish.state.value)
        if wish.state is State.ENABLED:
            found.after.setdefault("umpire_port", str(wish.base))
    if wish.state is State.DELETED:
        action = Action.DELETE
    elif not rows.known and (seen.data or seen.docker == "down"):
        action = Action.UPDATE
    elif wish.name not in rows.rows and wish.state is not State.ABSENT:
        action = Action.CREATE
    else:
        action = Action.UPDATE
    return Note(
        "project", wish.name, action, before=found.before, after=found.after, unknown=unknown,
        within=PROJECT_TIME,
        destroys=dome.data(wish.name) if wish.state is State.DELETED else None,
    )  # fmt: skip


def _script(dome: Dome, wish: Wish) -> str:
    lines = "\n".join((*made_from(dome, wish), "image $image"))
    opening = (
        f"image=$(docker image inspect -f '{{{{.Id}}}}' {shlex.quote(dome.image)}) || "
        f"{{ echo 'the host has no image '{shlex.quote(dome.image)} >&2; exit 1; }}\n"
        f"container={shlex.quote(wish.container)} data={shlex.quote(dome.data(wish.name))}\n"
        f"wanted() {{ LC_ALL=C sort <<EOF\n{lines}\nEOF\n}}\n"
    )
    parts = {
        State.ENABLED: ENABLED,
        State.DISABLED: DISABLED,
        State.ABSENT: ABSENT,
        State.DELETED: DELETED,
    }
    return functions(dome, wish.name, wish.base) + opening + parts[wish.state]

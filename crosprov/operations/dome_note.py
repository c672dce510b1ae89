"""What a plan says of a change of Dome."""

from __future__ import annotations

from crosprov.facts.container_names import DOME
from crosprov.facts.docker import short_id
from crosprov.facts.dome_containers import WANTED_IMAGE, DomeContainers
from crosprov.facts.factory_versions import Installed
from crosprov.operations.docker_daemon import what_docker_has
from crosprov.operations.note import Note
from crosprov.planning.plan import Action
from crosprov.roles.factory_server import Settings


def note(
    wanted: Settings,
    version: str,
    versions: Installed,
    seen: DomeContainers,
    differs: dict[str, tuple[str | None, str | None]],
    *,
    known: bool,
    due: bool,
    again: bool,
    ready: str,
    within: float,
) -> Note:
    """Say what differs, as before and after, and why the containers are restarted.

    `due` tells that a restart is due, `again` that Docker is restarted by this plan, so that only
    then it can be seen whether Dome reaches it; `ready` is the URL that is asked.
    """
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    exists = any(seen.has(name) for name in DOME)
    if known:
        for key, (now, then) in differs.items():
            name, _, what = key.partition(" ")
            if name in DOME and not seen.has(name) and what != "state":
                continue  # it is missing, and that is said
            is_image = what == "image"
            before[key] = _words(now, is_image, versions.current)
            after[key] = f"of version {version}" if is_image else then
        if not exists and not seen.leftovers:
            before, after = {}, {"version": version, "port": str(wanted.dome_port)}
    if seen.leftovers or seen.cut:
        before["left by a run that was cut short"] = ", ".join(seen.leftovers) or "its record"
    if not differs:
        after.update(_restart(seen, due=due, again=again))
    after["ready"] = ready
    return Note(
        kind="dome", name=wanted.shared_dir,
        action=Action.UPDATE if exists or seen.leftovers or (not known and versions.kept)
        else Action.CREATE,
        before=before, after=after,
        unknown=_unknown(seen, known=known, again=again),
        within=within,
    )  # fmt: skip


def _words(now: str | None, is_image: bool, version: str) -> str:
    if now is None:
        return "missing"
    if now == WANTED_IMAGE:
        return f"of version {version}"
    return short_id(now) if is_image else now


def _restart(seen: DomeContainers, *, due: bool, again: bool) -> dict[str, str]:
    if seen.stale:
        return {"restart": "it talks to a Docker that is gone"}
    if due:
        return {"restart": "a folder of Dome was made anew"}
    return {"restart": "if it talks to a Docker that is gone"} if again else {}


def _unknown(seen: DomeContainers, *, known: bool, again: bool) -> tuple[str, ...]:
    if not known:
        return (what_docker_has(seen.docker),)
    return ("whether Dome reaches Docker once that was restarted",) if again else ()

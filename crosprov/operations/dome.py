"""Dome, the web pages of a factory server: two containers, made by the deployment script.

The script's `run` takes Dome down before anything else, so it is called only when something
differs, and only after the two containers were stopped and put aside under other names, where
its `docker rm` does not find them. The record PHASE says how far a replacement is:

    no PHASE    the containers under Dome's names are the old ones; those that are there are
                stopped and put aside, the database is copied when the image changes
    switched    containers under Dome's names are new: they are removed, and `run` makes them
    back        the new ones failed: each one that is still aside gets its name back

The step to `switched` is made when both containers are aside and the copy is whole, so whatever
was made after it is new. When Dome answers, the old containers go first, PHASE last. When it does
not, PHASE becomes `back`: the new containers go, the copy of the database and the image and script
of the old containers come back, the old containers start, PHASE goes. Each step looks at what is
there, so a run that is cut short at any instant is finished by the next one.
"""

from __future__ import annotations

import shlex

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.container_names import DOME, NGINX, UWSGI
from crosprov.facts.containers import OLD
from crosprov.facts.dome_containers import (
    ELSEWHERE_FUNCTION,
    OBSERVE_FUNCTION,
    WANTED_IMAGE,
    DomeContainers,
    DomeContainersFact,
    stale_function,
)
from crosprov.facts.factory_versions import VERSION_FUNCTIONS, Installed
from crosprov.operations import marks
from crosprov.operations.deployment_script import (
    goal_of,
    installed,
    running,
)
from crosprov.operations.docker_daemon import NOT_KNOWN, UNIT, need_docker
from crosprov.operations.dome_containers import (
    database_of,
    differences,
    is_essential,
    made_by_the_script,
)
from crosprov.operations.dome_note import note
from crosprov.operations.dome_script import DOME_SCRIPT
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import PROGRESS, Commands, Noted
from crosprov.operations.operation import operation
from crosprov.operations.readiness import answers_function
from crosprov.roles.factory_server import Settings

MARK = "dome"  # a folder that is made anew names it among its restarts
_RUN_WITHIN = 1800  # seconds; the migration of a large database takes minutes
_READY_WITHIN = 60  # seconds
_ANSWERS = "2??|401|403"  # a refusal is an answer of Dome's own, too


@operation
def dome(shared: str, /, *, wanted: Settings) -> Commands:
    """Make Dome run from the current image, with the declared port and shared folder.

    Containers that somebody made with the script are Dome's as well as any. What only stopped
    is started. What differs is run anew by the script, and brought back when the new Dome does
    not answer. Containers that talk to a socket of Docker that is gone are restarted. Raises
    PlanError where Docker does not answer and nothing in this plan starts it, where something
    other than a file is in the place of the database, and where all data would stay behind in
    another folder.
    """
    database = database_of(shared)
    seen = host.get_fact(
        DomeContainersFact, database=database, image=wanted.image,
        mark=marks.mark_of(MARK), phase=_phase(),
    )  # fmt: skip
    if seen.database == "other":
        raise PlanError(f"{database} is not a file, and Dome's database must be one",
                        hint="look into it, and move it away by hand")  # fmt: skip
    if seen.elsewhere:
        raise _stays_behind(seen.elsewhere, shared)
    versions = installed(wanted)
    goal = goal_of(wanted, versions)
    known = need_docker(seen.docker, "Dome runs in containers")
    switches = known and wanted.image in effects().images
    differs = differences(wanted, seen)
    if switches:
        _foresee_image(differs, seen, versions, wanted.image)
    due = effects().restart_due(MARK, marked=seen.due)
    effects().about["Dome"] = (
        NOT_KNOWN if seen.docker == "down" else f"{versions.current or 'no image'}, {_state(seen)}"
    )
    again = known and seen.live_restore and _docker_starts_anew()
    if known and not (differs or due or again or seen.stale or seen.leftovers or seen.cut):
        return
    effects().restart_done(MARK)
    effects().new_database = "database" in differs and _exists(seen)
    if not known or any(not key.endswith(" state") or now is None
                        for key, (now, _) in differs.items()):  # fmt: skip
        effects().recreated.update(DOME)
    if switches:
        _warn_of_the_way_back(wanted, versions, goal.version, seen)
    yield Noted(
        PROGRESS + _script(wanted, goal.version, restart=due),
        note(
            wanted,
            goal.version,
            versions,
            seen,
            differs,
            known=known,
            due=due,
            again=again,
            ready=_url(wanted),
            within=_RUN_WITHIN + 4 * _READY_WITHIN + 300.0,
        ),
    )


def _stays_behind(old: str, new: str) -> PlanError:
    return PlanError(
        f"the factory server's data is in {old}, and would stay behind when its shared folder is "
        f"{new}",
        hint=f"with `shared_dir: {old}`, `crosprov factory backup` it, or stop its containers and "
        f"`mv {old} {new}`; with {new}, `crosprov factory restore` the backup, and apply. To begin "
        f"anew, move {database_of(old)} away",
    )


def _exists(seen: DomeContainers) -> bool:
    return any(seen.has(name) for name in DOME)


def _docker_starts_anew() -> bool:
    return UNIT in effects().restarted or effects().brings_docker


def _foresee_image(
    differs: dict[str, tuple[str | None, str | None]],
    seen: DomeContainers,
    versions: Installed,
    image: str,
) -> None:
    """Compare images with the one that will be current by then."""
    for name in DOME:
        key = f"{name} image"
        now = seen.lines.get(key)
        made_from = versions.image if now == WANTED_IMAGE else now or ""
        if effects().image_differs(image, made_from, versions.image):
            differs[key] = (now, WANTED_IMAGE)
        else:
            differs.pop(key, None)


def _phase() -> str:
    return f"{state_dir()}/dome-phase"


def _state(seen: DomeContainers) -> str:
    states = {seen.status(name) or "not there" for name in DOME}
    return states.pop() if len(states) == 1 else "partly running"


def _warn_of_the_way_back(
    wanted: Settings, versions: Installed, version: str, seen: DomeContainers
) -> None:
    if not versions.current > version:
        return
    copy = f"{database_of(wanted.shared_dir)}.before-{versions.current}"
    found = f"; {copy} is a copy from before" if versions.current in seen.copies else ""
    effects().notices.append(
        f"Dome goes back from {versions.current} to {version}, and its database was migrated by "
        f"the newer one{found}. When the older Dome does not answer with it, the newer one comes "
        "back"
    )


def _url(wanted: Settings) -> str:
    return f"http://127.0.0.1:{wanted.dome_port}/projects/"


def _script(wanted: Settings, version: str, *, restart: bool) -> str:
    lines = (
        f"{'must' if is_essential(key) else 'may'}\t{key}\t{value}"
        for key, value in made_by_the_script(wanted).items()
    )
    body = DOME_SCRIPT.format(
        version=shlex.quote(version),
        database=shlex.quote(database_of(wanted.shared_dir)),
        phase=shlex.quote(_phase()),
        expected=shlex.quote("\n".join(lines)),
        names=" ".join(DOME),
        not_ours=" ".join(f"-e {name}{suffix}" for name in DOME for suffix in ("", OLD)),
        backwards=" ".join(reversed(DOME)),
        uwsgi=UWSGI,
        nginx=NGINX,
        url=shlex.quote(_url(wanted)),
        old=OLD,
        restart="yes" if restart else "",
        leave=marks.leave(MARK).removesuffix(" && "),
        clear=marks.clear(MARK),
    )
    return (
        running(wanted, within=_RUN_WITHIN)
        + VERSION_FUNCTIONS
        + OBSERVE_FUNCTION
        + stale_function()
        + ELSEWHERE_FUNCTION
        + answers_function(_url(wanted), _ANSWERS, _READY_WITHIN)
        + body
    )

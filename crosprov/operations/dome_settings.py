"""The settings of Dome itself: its TFTP server, its multicast service, its look for new versions.

The first two are containers that Dome starts and removes; it takes their being there for the
setting (UpdateConfig of py/dome/backend/models.py, June 2023), so one that does not run, or runs
from an older image or with another folder, is made anew by switching it off and on.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra import host

from crosprov.facts import container_names
from crosprov.facts.dome import VOLUMES, PartsFact, PartsState
from crosprov.operations.docker_daemon import NOT_KNOWN
from crosprov.operations.dome_requests import PROJECT_TIME, Dome, body, functions
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.project_wish import dome_state, why_unknown
from crosprov.planning.plan import Action


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its key in the inventory, in Dome's JSON, and the container that it stands for.

    That container serves `folder` of the shared folder, which it has as `place`.
    """

    key: str
    field: str
    container: str | None = None
    folder: str = ""
    place: str = ""

    def volume(self, dome: Dome) -> str:
        """Give the volume that its container must have."""
        return f"{dome.shared_dir}/{self.folder}:{self.place}"


TFTP = Setting("tftp", "tftpEnabled", container_names.TFTP, "tftp", "/var/tftp")
MULTICAST = Setting(
    "multicast", "mcastEnabled", container_names.MULTICAST, "umpire", "/var/db/factory/umpire"
)
VERSION_CHECK = Setting("version_check", "versionCheckEnabled")
_DEFAULTS = {"tftpEnabled": False, "mcastEnabled": False, "versionCheckEnabled": True}


@operation
def dome_setting(setting: Setting, on: bool, /, *, dome: Dome) -> Commands:
    """Make a setting of Dome on or off, and its container run from the image that is there now."""
    told = dome_state(dome)
    parts = host.get_fact(PartsFact, image=dome.image)
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    is_on = (told.settings or _DEFAULTS).get(setting.field)
    if told.known and is_on != on:
        before["state"], after["state"] = _word(is_on), _word(on)
    if setting.container and parts.docker == "ok":
        _compare(setting, on, dome, parts, before, after)
    if not (before or after) and told.known:
        return
    note = Note(
        "dome setting", setting.key, Action.UPDATE, before=before,
        after=after or {"state": _word(on)},
        unknown=() if told.known else (f"what Dome has set: {why_unknown()}",),
        within=PROJECT_TIME,
    )  # fmt: skip
    yield Noted(_script(setting, on, dome), note)


def _word(on: object) -> str:
    return "on" if on else "off"


def _compare(
    setting: Setting,
    on: bool,
    dome: Dome,
    parts: PartsState,
    before: dict[str, str | None],
    after: dict[str, str | None],
) -> None:
    part = parts.part(setting.container or "")
    if not on:
        if part.status:
            before["container"], after["container"] = part.status, "removed"
        return
    if part.status != "running":
        before["container"], after["container"] = part.status or None, "running"
    reasons = []
    if part.status and effects().image_differs(dome.image, part.image, parts.image):
        reasons.append("its image changed")
    if part.status and setting.volume(dome) not in part.volumes:
        reasons.append("it has another folder")
    if reasons:
        after["made anew"] = "; ".join(reasons)


# Before a setting is set for the first time Dome has none, and takes what is not said for on.
_SET = r"""
set_to() {{
  dome PUT /config/0/ "$1"
  case $code in 200|201) ;; *) fail "$(answered)";; esac
}}
dome GET /config/0/
case $code in
  404) set_to {all};;
  200) set_to {one};;
  *) fail "$(answered)";;
esac
"""

# Dome takes a container that is there for a setting that is on.
_IS_UP = r"""
is_up() {{
  image=$(docker image inspect -f '{{{{.Id}}}}' {image})
  now=$(docker container inspect -f '{{{{.State.Running}}}} {{{{.Image}}}}{volumes}' {container} \
    2>/dev/null)
  case "$now " in "true $image "*{volume}" "*) ;; *) return 1;; esac
}}
is_up || docker rm -f {container} >/dev/null 2>&1
"""
_CHECK = """
is_up || fail "Dome's container {container} does not run: $(docker logs --tail 1 {container} 2>&1)"
"""


def _script(setting: Setting, on: bool, dome: Dome) -> str:
    one = {setting.field: on}
    put = _SET.format(all=body({**_DEFAULTS, **one}), one=body(one))
    before = after = ""
    if setting.container and on:
        before = _IS_UP.format(
            container=setting.container, image=shlex.quote(dome.image), volumes=VOLUMES,
            volume=shlex.quote(setting.volume(dome)),
        )  # fmt: skip
        after = _CHECK.format(container=setting.container)
    return f"{functions(dome)}await_dome\n{before}{put}{after}"


@operation
def tell_dome(dome: Dome, /) -> Commands:
    """Say in the host's status whether Dome answers, and how TFTP and multicast are."""
    parts = host.get_fact(PartsFact, image=dome.image)
    told = dome_state(dome)
    about = effects().about
    if told.answers:
        words = f"answers on port {dome.port}"
    else:
        words = "does not answer" if told.status in ("", "000") else f"answers {told.status}"
    about["Dome"] = ", ".join(filter(None, (about.get("Dome"), words)))
    off = NOT_KNOWN if parts.docker == "down" else "off"
    for setting, title in ((TFTP, "TFTP"), (MULTICAST, "multicast")):
        about[title] = parts.part(setting.container or "").status or off
    yield from ()

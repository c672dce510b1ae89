"""The image of a factory server: installed by its script, each version kept under a tag.

What is there decides, not what was done before, so a run that is cut short anywhere is finished
by the next one:

    image in force is not VERSION       tag VERSION is there: it is tagged as current; otherwise
                                        the tarball is brought, checked, and installed
    a tarball, or a half-written one    it goes; a whole new one comes when it is still needed
    image in force is VERSION, no tag   it gets the tag
    tag VERSION is another image        somebody replaced the current one: the tag is current again

Before another image comes into force, the one in force gets its tag and its script a place among
the kept ones, so a wrong image never takes the right one's name for longer than it is looked at.
"""

from __future__ import annotations

import shlex

from pyinfra.api import StringCommand

from crosprov.facts import container_names
from crosprov.facts.containers import OLD
from crosprov.facts.docker import short_id
from crosprov.facts.factory_versions import (
    KEPT,
    VERSION_FUNCTIONS,
    Installed,
)
from crosprov.inventory.factory import SCRIPT
from crosprov.operations import files
from crosprov.operations.deployment_script import (
    MODE,
    Goal,
    Source,
    goal_of,
    installed,
    running,
)
from crosprov.operations.docker_daemon import need_docker, what_docker_has
from crosprov.operations.effects import effects
from crosprov.operations.image_script import CLEAN, FINISH, ROOM, UNPACKED, VARIABLES
from crosprov.operations.note import PROGRESS, Commands, Content, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action
from crosprov.roles.factory_server import Settings

_PART = ".tarball.crosprov"  # in the folder of its version
_DOME = {name + suffix for name in container_names.DOME for suffix in ("", OLD)}
_INSTALL_WITHIN = 3000  # seconds for `pull`, and for `install`
_WITHIN = 2 * _INSTALL_WITHIN + 600.0


@operation
def server_image(name: str, /, *, wanted: Settings) -> Commands:
    """Make the image of this name be of the wanted version, by the variables that it has itself.

    An image that the host keeps is tagged; otherwise the controller's tarball is sent, or the
    script fetches it, and the script installs it. The image in force before stays under the tag
    of its version, and comes back when the new one is not what was declared. Raises PlanError
    where Docker does not answer and nothing in this plan starts it, and as `goal_of`.
    """
    seen = installed(wanted)
    goal = goal_of(wanted, seen)
    known = need_docker(seen.docker, f"it needs the image {name}")
    managed = goal.version in seen.kept
    untagged = managed and known and goal.version not in seen.tags
    if known and goal.source is Source.HERE and not (seen.left or untagged):
        return
    switches = not known or goal.source is not Source.HERE
    if switches:
        tag = seen.tags.get(goal.version)
        coming = tag.image if known and tag is not None and goal.source is Source.KEPT else ""
        effects().images.update(dict.fromkeys((name, f"{name}:latest"), coming))
    yield Noted(_prepare(wanted, goal), _note(name, goal, seen, known=known, untagged=untagged))
    if switches:
        yield from _bring(wanted, goal, seen)
    yield StringCommand(PROGRESS + _finish(wanted, goal))


def _note(name: str, goal: Goal, seen: Installed, *, known: bool, untagged: bool) -> Note:
    managed = goal.version in seen.kept
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    if not known or goal.source is not Source.HERE:
        if seen.current:
            before["version"] = seen.current
        after["version"] = goal.version
        after["from"] = _origin(goal)
        if seen.replaced and seen.current == goal.version:
            before["id"] = short_id(seen.image)
            after["id"] = short_id(seen.tags[goal.version].image)
    if seen.left:
        before["left by a run that was cut short"] = ", ".join(
            path.rpartition("/")[2] for path in seen.left
        )
    if untagged:
        after["kept as"] = f"{name}:{goal.version}"
    there = seen.image or (not known and managed)
    return Note(
        kind="image", name=name, action=Action.UPDATE if there else Action.CREATE,
        before=before, after=after,
        unknown=() if known else (what_docker_has(seen.docker),), within=_WITHIN,
    )  # fmt: skip


def _origin(goal: Goal) -> str:
    match goal.source:
        case Source.ARCHIVE if goal.image is not None:
            return f"{goal.image.path} ({goal.image.size} bytes, sha256 {goal.image.sha256[:12]})"
        case Source.KEPT | Source.HERE:
            return "kept on the host"
        case _:
            return "pulled by the deployment script"


def _prepare(wanted: Settings, goal: Goal) -> str:
    """Take away what a run left, and look for space before anything large is sent."""
    size = goal.image.size if goal.image and goal.source is Source.ARCHIVE else 0
    text = VARIABLES + CLEAN
    if size:
        text += ROOM + f"room $(({size} / 1024 + 1)) || exit\n"
        text += 'rm -f "$tarball"; ( umask 077; set -C; : > "$tarball" ) || exit\n'
    return running(wanted, within=_INSTALL_WITHIN) + _filled(text, wanted, goal)


def _filled(text: str, wanted: Settings, goal: Goal) -> str:
    part = shlex.quote(f"{_folder(wanted, goal)}/{_PART}")
    return text.format(version=goal.version, part=part, unpacked=UNPACKED)


def _folder(wanted: Settings, goal: Goal) -> str:
    return f"{wanted.script_dir}/{KEPT}/{goal.version}"


def _bring(wanted: Settings, goal: Goal, seen: Installed) -> Commands:
    """Bring the version's script into its folder, and the tarball where one is to be sent."""
    place = f"{_folder(wanted, goal)}/{SCRIPT}"
    kept = seen.kept.get(goal.version)
    if goal.release is not None and (kept is None or kept.script != goal.release.sha256):
        temporary = files.temporary_beside(place)
        name = shlex.quote(temporary)
        yield StringCommand(f"rm -f {name} && ( umask 077; set -C; : > {name} )")
        yield Content(goal.release.script, temporary)
        yield StringCommand(
            f"chown root:root {name} && chmod {MODE} {name} && {files.flush(name)}"
            f"mv -f {name} {shlex.quote(place)}"
        )
    if goal.source is Source.ARCHIVE and goal.image is not None:
        sent = goal.image
        yield LocalFile(
            sent.path, sent.size, sent.sha256, f"{_folder(wanted, goal)}/{_PART}",
            offset=sent.offset,
        )  # fmt: skip


def _finish(wanted: Settings, goal: Goal) -> str:
    """Make the version current, in whatever state the host is by then."""
    sent = goal.image if goal.source is Source.ARCHIVE else None
    return (
        running(wanted, within=_INSTALL_WITHIN)
        + VERSION_FUNCTIONS
        + _filled(VARIABLES + ROOM, wanted, goal)
        + f"sha256={sent.sha256 if sent else ''} "
        + f"brought={'yes' if goal.source in (Source.ARCHIVE, Source.PULL) else ''}\n"
        + FINISH
    )


@operation
def kept_versions(name: str, /, *, wanted: Settings) -> Commands:
    """Take away the versions that are neither current nor the one before it.

    An image that somebody else's container uses stays. Images go by their exact tags, so what
    others have on the host is left alone.
    """
    seen = installed(wanted)
    if seen.docker != "ok":
        return
    goal = goal_of(wanted, seen)
    keep = {goal.version, _before(seen, goal.version)}
    ours = _containers(wanted)
    for version in sorted({*seen.tags, *seen.kept} - keep):
        tag = seen.tags.get(version)
        if tag is not None and set(tag.users) - ours:
            continue
        note = Note("image", f"{name}:{version}", Action.DELETE, before={"version": version})
        untag = f"docker rmi {shlex.quote(f'{name}:{version}')} >/dev/null && " if tag else ""
        folder = shlex.quote(f"{wanted.script_dir}/{KEPT}/{version}")
        yield Noted(f"{untag}rm -rf {folder}", note)


def _before(seen: Installed, version: str) -> str:
    """Name the version that Dome runs from now or ran from before, where it is another one."""
    running = [name for name, tag in seen.tags.items() if _DOME & set(tag.users)]
    for found in (*running, seen.current, seen.previous):
        if found not in ("", version):
            return found
    return max(seen.tags.keys() - {version}, default="")


def _containers(wanted: Settings) -> set[str]:
    """Name the containers that have moved to the wanted version by the end of a plan.

    What the inventory leaves as it is stays with the image that it has.
    """
    overlord = wanted.overlord
    declared = {
        container_names.TFTP: wanted.tftp is not None,
        container_names.MULTICAST: wanted.multicast is not None,
        container_names.OVERLORD: overlord is not None,
        container_names.DISCOVERY: overlord is not None and overlord.lan_interface is not None,
    }
    return {
        *_DOME,
        *(name for name, is_declared in declared.items() if is_declared),
        *map(container_names.umpire_of, wanted.projects),
    }

"""The deployment script of a factory server: which version it shall be, its file, how it is run.

A host has the script in force at FOLDER/cros_docker.sh, and below FOLDER/kept a folder of each
version that it can go to by itself: the version's script, and its image under the tag of its name.
A tarball lies beside the script in such a folder, and only while it is being installed.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.factory.release import LocalImage, Release
from crosprov.factory.sources import image_of, release_of
from crosprov.facts.factory_versions import KEPT, Installed, InstalledFact
from crosprov.facts.files import Kind, PathFact, PathState
from crosprov.inventory.factory import SCRIPT
from crosprov.operations import files
from crosprov.operations.effects import state_dir
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action
from crosprov.roles.factory_server import Settings

MODE = "0755"  # its own `update` leaves 0711, which nobody but its owner can run
LOCALTIME = "/etc/localtime"
SHARED_VOLUME = "cros-docker-shared-tmp-vol"  # for files between Dome and Umpires


class Source(StrEnum):
    """Where the image of a version comes from."""

    HERE = "here"  # it is in force
    KEPT = "kept"  # the host has it under its tag
    ARCHIVE = "archive"  # of the controller
    PULL = "pull"  # fetched by the script


@dataclass(frozen=True, slots=True)
class Goal:
    """The version that a factory server shall have, and where its parts come from."""

    version: str
    release: Release | None  # None: the host has the script
    image: LocalImage | None
    source: Source


def goal_of(wanted: Settings, seen: Installed) -> Goal:
    """Choose the version of a factory server, and the nearest source of its image.

    Without a bundle or a script in the inventory, `version` is one that the host keeps, and
    without a version it is that of the host's own script. Raises PlanError for a version that
    can be had from nowhere, and for a host without a script.
    """
    release = release_of(wanted)
    if release is not None:
        version, image = str(release.version), release.image
    else:
        version, image = wanted.version or _own_version(wanted, seen), image_of(wanted)
        _check_script_at_hand(wanted, seen, version)
    return Goal(version, release, image, _source(seen, version, image))


def installed(wanted: Settings) -> Installed:
    """Observe the versions on the current host."""
    seen: Installed = host.get_fact(
        InstalledFact, folder=wanted.script_dir, image=wanted.image
    )  # one question, however many operations ask it
    return seen


def _own_version(wanted: Settings, seen: Installed) -> str:
    if not seen.script:
        raise PlanError(
            f"the host has no {wanted.script_dir}/{SCRIPT}, and the inventory names none",
            hint="give factory_server a bundle, or a script with url, checkout or file",
        )
    if seen.script.startswith("-") or seen.script.endswith("-"):
        raise PlanError(
            f"{wanted.script_dir}/{SCRIPT} on the host is not a deployment script: it does not "
            "say its version",
            hint="give factory_server a bundle, or a script with url, checkout or file",
        )
    return seen.script


def _check_script_at_hand(wanted: Settings, seen: Installed, version: str) -> None:
    folder = seen.kept.get(version)
    if seen.script == version or (folder and folder.script):
        return
    have = sorted({seen.script, *(name for name, kept in seen.kept.items() if kept.script)} - {""})
    raise PlanError(
        f"the inventory wants version {version} and names no bundle or script, and the host keeps "
        + (f"only {', '.join(have)}" if have else "no version at all"),
        hint="name the bundle of that version, or take a version that the host keeps",
    )


def _source(seen: Installed, version: str, image: LocalImage | None) -> Source:
    if seen.docker == "ok":
        if seen.current == version and not seen.replaced:
            return Source.HERE
        tag = seen.tags.get(version)
        if tag is not None and tag.version == version:
            return Source.KEPT
    elif version in seen.kept and seen.kept[version].installed:
        return Source.KEPT  # as far as can be told while Docker does not answer
    return Source.PULL if image is None else Source.ARCHIVE


@operation
def script(folder: str, /, *, wanted: Settings) -> Commands:
    """Make the script in force be that of the wanted version, root's and executable for all.

    Without a bundle or a script in the inventory the host's own stays as it is, unless another
    version is wanted. Raises PlanError as `goal_of`, and where something else is in its place.
    """
    path = f"{folder}/{SCRIPT}"
    release = release_of(wanted)
    if release is not None:
        target = files.Target(path, release.script, MODE, "root", "root", kind="script")
        yield from files.write(target, host.get_fact(PathFact, path=path, expect=target.telling))
        return
    state = host.get_fact(PathFact, path=path, limit=0)
    seen = installed(wanted)
    goal = goal_of(wanted, seen)
    if seen.script != goal.version:
        yield from _from_kept(path, folder, goal.version, seen)
    else:
        yield from _access(path, state)


def _from_kept(path: str, folder: str, version: str, seen: Installed) -> Commands:
    kept = shlex.quote(f"{folder}/{KEPT}/{version}/{SCRIPT}")
    temporary = shlex.quote(files.temporary_beside(path))
    note = Note(
        "script", path, Action.UPDATE if seen.script else Action.CREATE,
        before={"version": seen.script} if seen.script else {},
        after={"version": f"{version}, kept on the host"},
        undo=f"rm -f {temporary}",
    )  # fmt: skip
    yield Noted(
        f"rm -f {temporary} && cp {kept} {temporary} && chown root:root {temporary} && "
        f"chmod {MODE} {temporary} && {files.flush(temporary)}"
        f"mv -f {temporary} {shlex.quote(path)}",
        note,
    )


def _access(path: str, state: PathState) -> Commands:
    if state.kind is not Kind.FILE:
        raise PlanError(f"{path} is a {state.kind} where a file is wanted",
                        hint="move it away by hand")  # fmt: skip
    if state.mode == MODE and state.owned_by("root", "root"):
        return
    note = Note(
        "script", path, Action.UPDATE,
        before={"mode": state.mode, "owner": f"{state.user}:{state.group}"},
        after={"mode": MODE, "owner": "root:root"},
    )  # fmt: skip
    yield Noted(f"chown root:root {shlex.quote(path)} && chmod {MODE} {shlex.quote(path)}", note)


def choices(wanted: Settings) -> dict[str, str]:
    """Give the variables of the script's environment that hold what it never remembers itself."""
    kept = [(name, one) for name, one in wanted.projects.items() if one.enabled and not one.absent]
    found = {
        "DOME_PORT": str(wanted.dome_port),
        "HOST_SHARED_DIR": wanted.shared_dir,
        "HOST_LOCALTIME_PATH": LOCALTIME,
    }
    for name, project in kept[:1]:
        found |= {"PROJECT": name, "UMPIRE_PORT": str(project.umpire_port)}
    if wanted.overlord is not None:
        found["OVERLORD_HTTP_PORT"] = str(wanted.overlord.http_port)
        found["OVERLORD_LAN_DISC_IFACE"] = wanted.overlord.lan_interface or ""
    return found


_RUNNING = """\
d={folder} k={folder}/{kept} repo={image} out={out} esc=$(printf '\\033')
alone() {{ # what a run that was killed has left at work holds the lock until it ends
  mkdir -p "$k" && exec 8>"$k/lock" && flock -w 900 8 && return
  echo "the factory server is being changed by another run, for 15 minutes now" >&2; exit 1
}}
scripted() {{ # SCRIPT SUBCOMMAND: below a terminal; what it says is in $out, and is progress
  mkdir -p "${{out%/*}}" && rm -f "$out" "$out.status" && ( umask 077; : > "$out" ) || return
  {{
    (
      trap - HUP  # its terminal goes when this shell does, and it must not go on without
      exec env SHELL=/bin/sh {choices} timeout -k 20 {within} \\
        script -qefc "stty -echo; exec bash $1 $2" /dev/null
    ) </dev/null 2>&1
    echo $? > "$out.status"
  }} | tr '\\r' '\\n' | tee "$out" | while IFS= read -r line; do
    case $line in *"$esc"* | '' | '^@') ;; *) printf '%s\\n' "$2: ${{line#^@}}" >&9;; esac
  done
  read -r status < "$out.status"; rm -f "$out.status"
  return "${{status:-1}}"
}}
last_lines() {{ # without what the terminal shows of the end of its input
  tail -n 15 "$out" | tr -d '\\000-\\010\\013-\\037' | sed 's/^^@//; /^$/d' >&2; rm -f "$out"
}}
"""


def running(wanted: Settings, *, within: int) -> str:
    """Define the shell's variables and functions with which the script is run on its host.

    `alone` keeps other runs away, `scripted SCRIPT SUBCOMMAND` runs it for `within` seconds at
    most, `last_lines` shows what it said last; `d`, `k` and `repo` are its folder, the folder of
    the kept versions, and the name of the image.
    """
    return _RUNNING.format(
        folder=shlex.quote(wanted.script_dir),
        kept=KEPT,
        image=shlex.quote(wanted.image),
        out=shlex.quote(f"{state_dir()}/factory-server.output"),
        choices=" ".join(f"{key}={shlex.quote(value)}" for key, value in choices(wanted).items()),
        within=within,
    )

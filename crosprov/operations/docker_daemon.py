"""The daemon of Docker: its configuration, what a restart of it would stop, who needs it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.docker import DATA_ROOT, EngineFact, EngineState, RunningFact
from crosprov.facts.files import PathState
from crosprov.facts.units import UnitFact
from crosprov.operations import marks, merge
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.files import Swap
from crosprov.operations.json_merging import Json, merge_json, parsed
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation

CONFIGURATION = "/etc/docker/daemon.json"
UNIT = "docker.service"

# The drivers that have max-size and max-file; others refuse to start a container with them.
ROTATING = ("json-file", "local")
DRIVER = "json-file"  # the one without a word about it
_ROTATION = ("max-size", "max-file")

NOT_KNOWN = "not known: Docker does not answer"  # in a status

# What dockerd takes over when it is told to read its file anew (daemon/reload.go of moby, the
# same from 20.10 on); all else waits for a restart.
RELOADED = frozenset({
    "debug", "insecure-registries", "labels", "live-restore", "max-concurrent-downloads",
    "max-concurrent-uploads", "registry-mirrors", "shutdown-timeout",
})  # fmt: skip

# A file that dockerd does not take would end what still runs well, at the next start at the
# latest. Versions that can tell are asked, with the flags of the unit, for a flag and a member
# may contradict each other.
_VALIDATE = r"""{ ! dockerd --help 2>/dev/null | grep -q -e --validate || (
  set -f; flags=$(systemctl show -p ExecStart docker.service 2>/dev/null |
    sed -n 's/^ExecStart=.*argv\[\]=[^ ]*dockerd \(.*\) ; ignore_errors=.*/\1/p')
  set --; for w in $flags; do case $w in '$'*) ;; *) set -- "$@" "$w";; esac; done
  said=$(dockerd --validate "$@" --config-file="$f" 2>&1) ||
    { printf 'dockerd does not take the new %s: %s\n' "$path" "$said" >&2; exit 1; }
); }"""

# Older versions cannot tell, so each one has to live with the new file before the old one goes.
_TAKE_OVER = r"""journal() {{ journalctl --no-pager --quiet --lines=10 --unit={unit} >&2; }}
back() {{
  journal
  if [ -e "$old" ]; then cp -p "$old" "$path.part" && mv -f "$path.part" "$path"
  else rm -f "$path"; fi
  systemctl reset-failed {unit} 2>/dev/null
  systemctl {again} {unit}; {clear}
  echo "docker did not take the new $path over, so the one before it is back" >&2
  exit 1
}}
if systemctl is-active --quiet {unit}; then
{attempt}
fi
rm -f "$old"; {clear}"""
_RESTART = f"""\
  systemctl reset-failed {UNIT} 2>/dev/null
  systemctl restart {UNIT} && sleep 1 && systemctl is-active --quiet {UNIT} &&
    docker version >/dev/null 2>&1 || back"""
# A reload says nothing by itself; it is an event when it has been done.
_RELOAD = f"""\
  since=$(date +%s); n=0
  systemctl reload {UNIT} || back
  until docker events --since "$since" --until "$(date +%s)" --filter event=reload 2>/dev/null |
    grep -q reload
  do n=$((n + 1)); [ $n -le 20 ] || back; sleep 0.5; done"""


@operation
def configuration(values: Mapping[str, Json], /, *, rotation: bool = True) -> Commands:
    """Give members of daemon.json these values; None takes one away, and all others stay.

    A new file is tried by the daemon before it counts, and the one before it comes back when the
    daemon does not run with it. A daemon that runs is restarted, or told to read the file anew
    where that is enough. `rotation` tells that log-opts were asked for, and not only usual: then
    a log driver that has none of them is refused. Raises PlanError for a file that is not JSON,
    and where data would stay behind in another folder.
    """
    seen = merge.observe(CONFIGURATION)
    engine = _engine(values)
    before = _members(seen)
    wanted = _rotated(values, before, asked=rotation)
    after = merge.merged(CONFIGURATION, seen, lambda content: merge_json(content, wanted))
    changed = _changed(before, after)
    if "data-root" in changed:
        _stay_behind(engine, changed["data-root"])
    if after == (seen.content or b""):
        return
    swap = _swap(seen, reloads=changed.keys() <= RELOADED)
    restarts = () if swap.words else (UNIT,)
    yield from merge.rewrite(CONFIGURATION, seen, after, "0644", restarts, swap)
    if restarts:
        effects().restart_done(UNIT)


@operation
def supported(values: Mapping[str, Json], /, *, factory: bool) -> Commands:
    """Refuse a host on which crosprov does not set up Docker.

    `values` are those of `configuration`, so that both are one question; `factory` tells that the
    host shall be a factory server, for the hint.
    """
    engine = _engine(values)
    if engine.system == "Darwin":
        raise PlanError(
            "the host runs macOS, where crosprov sets up neither Docker nor a factory server",
            hint="install Docker Desktop and run `cros_docker.sh` there by hand; its data is then "
            "in $HOME/cros_docker" if factory else "install Docker Desktop there by hand",
        )  # fmt: skip
    yield from ()


@operation
def stopping(packages: Collection[str] = (), /) -> Commands:
    """Warn of the containers that stop because Docker is about to be restarted.

    `packages` are those of Docker itself: one that this plan replaces restarts it too.
    """
    running = host.get_fact(RunningFact)
    unit = host.get_fact(UnitFact, unit=UNIT, mark=marks.mark_of(UNIT))
    known = effects()
    due = UNIT in known.restarted or known.restart_due(UNIT, marked=unit.due)
    if not running.containers or not (due or known.packages & set(packages)):
        return
    names = ", ".join(running.containers)
    if running.live_restore:
        known.notices.append(f"Docker is restarted; what runs goes on (live-restore): {names}")
    else:
        known.notices.append(f"Docker is restarted, which stops these for a moment: {names}")
    yield from ()


def what_docker_has(seen_docker: str) -> str:
    """Word for a plan what is not known, as long as Docker does not answer or is not there."""
    later = ": known once Docker answers" if seen_docker == "down" else ""
    return f"what Docker has on the host{later}"


def need_docker(seen_docker: str, what: str) -> bool:
    """Tell whether Docker answers now; raises PlanError when it will not by then either."""
    if seen_docker == "ok":
        return True
    if not effects().starts_docker:
        said = "has no docker" if seen_docker == "none" else "has a docker that does not answer"
        raise PlanError(
            f"{what}, and the host {said}",
            hint="give the host the role docker, or look at `systemctl status docker`",
        )
    return False


def _engine(values: Mapping[str, Json]) -> EngineState:
    root = values.get("data-root")
    seen: EngineState = host.get_fact(
        EngineFact, wanted=root if isinstance(root, str) else DATA_ROOT
    )
    return seen


def _members(seen: PathState) -> Mapping[str, Json]:
    if seen.content is None:
        return {}
    try:
        found = parsed(seen.content.decode("utf-8-sig", "replace"))
    except PlanError as error:
        raise PlanError(f"{CONFIGURATION}: {error.message}", hint=error.hint) from None
    return found if isinstance(found, Mapping) else {}


def _rotated(
    values: Mapping[str, Json], before: Mapping[str, Json], *, asked: bool
) -> Mapping[str, Json]:
    """Leave the rotation to the log driver where that has a way of its own."""
    driver = values.get("log-driver", before.get("log-driver", DRIVER))
    options = values.get("log-opts")
    if driver in ROTATING or driver is None or not isinstance(options, Mapping):
        return values
    if asked:
        raise PlanError(
            f"log_max_size and log_max_files are of the log drivers {' and '.join(ROTATING)}, and "
            f"{CONFIGURATION} has {driver}",
            hint="take them out, or set another driver: settings: {log-driver: json-file}",
        )
    effects().notices.append(f"Docker logs to {driver}, so crosprov sets no log rotation for it")
    others = {key: option for key, option in options.items() if key not in _ROTATION}
    rest = {key: value for key, value in values.items() if key != "log-opts"}
    return {**rest, "log-opts": others} if others else rest


def _changed(before: Mapping[str, Json], after: bytes) -> dict[str, Json]:
    """Give the members that differ, as they will be."""
    found = parsed(after.decode("utf-8-sig"))
    new = found if isinstance(found, Mapping) else {}
    return {
        key: new.get(key)
        for key in (*before, *(key for key in new if key not in before))
        if json.dumps(before.get(key)) != json.dumps(new.get(key))
    }


def _stay_behind(engine: EngineState, wanted: Json) -> None:
    """Refuse to leave containers and images where Docker will not look any more."""
    new = wanted if isinstance(wanted, str) else DATA_ROOT
    if engine.root == new or engine.root.startswith(f"{new}/") or not engine.has_data:
        return
    if engine.wanted_has_data:
        effects().notices.append(
            f"Docker's data is taken from {new}; what is in {engine.root} stays behind there"
        )
        return
    raise PlanError(
        f"containers and images are in {engine.root}, and would stay behind when Docker's data is "
        f"in {new}",
        hint=f"copy them while Docker is stopped, `rsync -aHAX {engine.root}/ {new}/`, or "
        "remove them; crosprov never moves them",
    )


def _swap(seen: PathState, *, reloads: bool) -> Swap:
    """Say how the new file is tried, and how Docker gets to know it."""
    names = f"path={CONFIGURATION}; old={shlex.quote(f'{state_dir()}/daemon.json.before')}"
    keep = 'rm -f "$old"' + (' && cp -p "$path" "$old"' if seen.content is not None else "")
    # A run that ends between the rename and a reload restarts once, rather than never.
    mark = f"{marks.leave(UNIT)}:" if reloads else ":"
    attempt, again = (_RELOAD, "reload") if reloads else (_RESTART, "restart")
    after = _TAKE_OVER.format(unit=UNIT, attempt=attempt, again=again, clear=marks.clear(UNIT))
    return Swap(
        before=f"{{ {names}; }} && {_VALIDATE} && {keep} && {mark}",
        after=after,
        words={UNIT: "reads it anew, and what runs goes on"} if reloads else {},
    )

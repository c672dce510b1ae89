"""Systemd units: started at boot or not, running or not, restarted when they are due."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.units import UnitFact, UnitState
from crosprov.operations import marks
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.readiness import answers_function, checked_url
from crosprov.planning.plan import Action

_SUFFIXES = "service|socket|timer|target|path|mount|automount|slice|scope|swap|device"
_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]+\.(?:{_SUFFIXES})")
_DUE = "its configuration changed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a unit shall be; None means that it may be as it is."""

    name: str
    enabled: bool | None
    running: bool | None
    ready: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What has to be done to a unit. `restart` is for one that runs, `start` for others."""

    reload: bool = False
    enable: bool = False
    disable: bool = False
    start: bool = False
    restart: bool = False
    stop: bool = False
    forget: bool = False  # a restart is due, of what shall not run: only its mark goes

    @property
    def nothing(self) -> bool:
        """Tell whether the unit is as it shall be."""
        return self == Decision()


@operation
def unit(
    name: str,
    /,
    *,
    enabled: bool | None = True,
    running: bool | None = True,
    ready: str | None = None,
    later: bool = False,
) -> Commands:
    """Make a systemd unit start at boot, run, and have read its configuration.

    None leaves that side as it is. A restart that is due, by this plan or by one that was
    interrupted, is made where the unit shall run or does run. `ready` is a URL that is asked on
    the host after a start until it answers with 2xx or 3xx, for 30 s at most.

    `later` says that the operation is called once more for the unit: this time nothing is done
    about one that is not on the host, unless its file is written by this plan.

    Static, aliased, indirect and generated units have nothing to enable and count as enabled.
    A oneshot unit that does not stay active counts as running when it has run without failure
    since the boot. A masked unit is left masked: somebody made it so on purpose. Raises
    PlanError for a masked unit that shall run, for an unknown one that nothing in this plan
    brings, and for a host without systemd.
    """
    wish = Wish(_checked(name), enabled, running, checked_url(ready) if ready else None)
    observed = host.get_fact(UnitFact, unit=name, mark=marks.mark_of(name))
    seen = effects().unit_states.get(name, observed)
    if later and not _there(seen) and name not in effects().units:
        return
    unknown = _unknown(wish, seen)
    due = effects().restart_due(name, marked=observed.due)
    decision = decide(wish, seen, due=due, unknown=unknown, written=name in effects().units)
    if decision.nothing:
        return
    _record(wish, seen, decision)
    yield Noted(script(wish, decision), _note(wish, seen, decision, unknown=unknown))


def decide(
    wish: Wish, seen: UnitState, *, due: bool, unknown: bool = False, written: bool = False
) -> Decision:
    """Compare what a unit is with what it shall be; `unknown` when this plan brings it."""
    reload = (seen.stale or written) and not seen.masked
    stops = wish.running is False and (unknown or (seen.exists and not seen.stopped))
    runs = wish.running is True and (unknown or not seen.running)
    goes_on = wish.running is not False and (unknown or not seen.stopped)
    restarts = due and (goes_on or wish.running is True)
    return Decision(
        reload=reload,
        enable=wish.enabled is True and (unknown or not seen.enabled),
        disable=wish.enabled is False and (unknown or not seen.disabled),
        start=runs and not restarts,
        restart=restarts,
        stop=stops,
        forget=due and not restarts,
    )


def script(wish: Wish, decision: Decision) -> str:
    """Give the shell script that carries a decision out; a failure shows the unit's journal."""
    name = shlex.quote(wish.name)
    lines = [f"u={name}", _FAILED]
    if decision.reload:
        lines.append("systemctl daemon-reload || exit")
    if decision.enable or decision.disable:
        lines.append(f'systemctl {"enable" if decision.enable else "disable"} "$u" || exit')
    if decision.stop:
        lines.append('systemctl stop "$u" || failed')
    if decision.start or decision.restart:
        lines += _starting(wish, decision)
    lines.append(marks.clear(wish.name) if _clears(wish, decision) else ":")
    return "\n".join(lines)


# `status` shows the journal since the last attempt only: between two, not what the service said.
_FAILED = """\
failed() {
  systemctl --no-pager --full --lines=0 status "$u" >&2
  journalctl --sync 2>/dev/null
  journalctl --no-pager --quiet --lines=20 --unit="$u" >&2
  exit 1
}
up() { # a oneshot is done when it is inactive again; one that crashes is activating or failed
  case "$(systemctl show -p Type -p RemainAfterExit -p ActiveState "$u" | sort | tr '\\n' ' ')" in
    'ActiveState=inactive RemainAfterExit=no Type=oneshot ') return 0;;
  esac
  systemctl is-active --quiet "$u"
}"""


def _starting(wish: Wish, decision: Decision) -> list[str]:
    # A unit that failed too often in a row refuses to start until its failures are forgotten.
    lines = ['systemctl reset-failed "$u" 2>/dev/null || :']
    if wish.running is None:
        verb = "try-restart"
        check = "[ $was = no ] || up || failed"
        lines.insert(0, 'was=no; ! systemctl is-active --quiet "$u" || was=yes')
    else:
        verb = "restart" if decision.restart else "start"
        check = "up || failed"
    if wish.ready:
        # Until it has answered, a start is not done: the next plan must not overlook that.
        lines.insert(0, marks.leave(wish.name) + ": || exit")
    lines += [f'systemctl {verb} "$u" || failed', f"sleep 1; {check}"]
    if wish.ready:
        lines = [answers_function(wish.ready).rstrip(), *lines, "answers || failed", check]
    return lines


def _clears(wish: Wish, decision: Decision) -> bool:
    return decision.restart or decision.forget or (decision.start and wish.ready is not None)


def _there(seen: UnitState) -> bool:
    """Tell whether the unit is on the host; a removed package leaves a masked one behind."""
    return seen.exists and not seen.broken and not seen.masked


def _unknown(wish: Wish, seen: UnitState) -> bool:
    """Tell whether the unit is brought by this plan; refuse what can never be carried out."""
    if not seen.has_systemd and not effects().packages:
        raise PlanError(
            f"{wish.name} is a unit of systemd, and the host has no systemctl",
            hint="is this the right host for the role?",
        )
    # Debian masks the units of a package that was removed, and unmasks them with its return.
    comes = wish.name in effects().units or bool(effects().packages)
    if comes and not _there(seen):
        return True
    if seen.masked and (wish.enabled or wish.running):
        raise PlanError(
            f"{wish.name} is masked on the host, so it cannot be started",
            hint=f"somebody masked it on purpose; `systemctl unmask {wish.name}` takes that back",
        )
    if seen.broken:
        raise PlanError(
            f"systemd cannot load {wish.name}",
            hint=f"`systemctl status {wish.name}` on the host says which line is wrong",
        )
    absent_is_fine = not wish.enabled and wish.running is False
    if not seen.exists and not absent_is_fine:
        raise PlanError(
            f"the host has no unit {wish.name}, and nothing in this plan brings it",
            hint="is the name right, and its package or unit file part of the inventory?",
        )
    return False


def _record(wish: Wish, seen: UnitState, decision: Decision) -> None:
    known = effects()
    known.units.discard(wish.name)
    if decision.start or decision.restart or decision.forget:
        known.restart_done(wish.name)
    after = replace(seen, load="loaded", stale=False, due=False)
    if decision.enable or decision.disable:
        after = replace(after, file="enabled" if decision.enable else "disabled")
    if decision.start or (decision.restart and wish.running):
        after = replace(after, active="active", sub="", runs_once=False)
    if decision.stop:
        after = replace(after, active="inactive", sub="")
    known.unit_states[wish.name] = after


def _note(wish: Wish, seen: UnitState, decision: Decision, *, unknown: bool) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    if decision.enable or decision.disable:
        before["enabled"] = None if unknown else seen.file or "no"
        after["enabled"] = "enabled" if decision.enable else "disabled"
    if decision.stop or decision.start or (decision.restart and not seen.running):
        before["active"] = None if unknown else seen.words
        after["active"] = "inactive" if decision.stop else "active"
    if decision.restart and (seen.running or unknown):
        after["restart"] = _DUE
    if decision.forget:
        before["restart"], after["restart"] = "due", "not needed: it does not run"
    if decision.reload:
        after["unit file"] = "read anew"
    if wish.ready and (decision.start or decision.restart):
        after["ready"] = wish.ready
    return Note(
        kind="unit",
        name=wish.name,
        action=Action.RUN if not before else Action.UPDATE,
        before=before,
        after=after,
        restarts=(wish.name,) if decision.restart else (),
        unknown=("the unit as its package or file brings it",) if unknown else (),
    )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith("-"):
        raise PlanError(
            f"{name!r} is not the full name of a systemd unit",
            hint="give the name with its type, like nginx.service",
        )
    return name

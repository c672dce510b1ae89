"""Syncs of mirrors: the first one, followed to its end, and none of what is not wanted any more."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Collection

from pyinfra import host

from crosprov.facts.mirrors import (
    MOST_DAYS,
    MOST_VERIFIED,
    SyncAgeFact,
    Synced,
    SyncFact,
    SyncState,
)
from crosprov.last_words import LAST_WORDS
from crosprov.operations.effects import effects
from crosprov.operations.note import PROGRESS, Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

STATES = "/var/lib/crosprov-mirror"
UNITS = "/etc/systemd/system/crosprov-mirror"  # and @NAME.service or @NAME.timer
CONFIGURATIONS = "/etc/crosprov/mirrors"
_WITHIN = 86_400.0  # seconds for a first sync; one that takes longer goes on without its listener
_OLD = 2  # days without a good sync that are worth a word

# The service does the work, so that it is confined, and goes on when the controller goes away.
# One that was under way with another configuration is waited for first. Who follows it keeps other
# runs away from the host, so nobody does for a controller that has gone.
_FOLLOW = """\
u={unit} d={state} c={configuration}
under_way() {{
  case $(systemctl show -P ActiveState "$u") in activating|reloading|deactivating) return 0;; esac
  return 1
}}
follow() {{
  while under_way; do
    said=$(cat "$d/progress" 2>/dev/null) && [ -n "$said" ] && progress "$said"
    listened || exit 1
    sleep 1
  done
}}
brought() {{
  [ -s "$d/outcome" ] && read -r was lacking <"$d/outcome" && [ "$was" = "$c" ]
}}
follow
brought || {{
  rm -f "$d/progress"
  systemctl reset-failed "$u" 2>/dev/null || :
  systemctl start --no-block "$u" || exit
  sleep 1
  follow
}}
brought || {{
  last_words "$u" >&2
  exit 1
}}
[ "$lacking" = 0 ] || progress "lacking files: $lacking; journalctl -u $u tells which"
"""


def sync_state() -> SyncState:
    """Give what was observed of the syncs of the current host."""
    return host.get_fact(SyncFact, states=STATES, units=UNITS)


def sync_age(name: str) -> Synced:
    """Give how the syncs of a mirror of the current host went, for people only."""
    ages = host.get_fact(SyncAgeFact, states=STATES, unit="crosprov-mirror")
    return ages.get(name, Synced())


@operation
def first_sync(name: str, /, *, configuration: str) -> Commands:
    """Make a mirror's service have synced what the inventory says, and follow it.

    `configuration` names what shall be brought. A sync that could not get some files has ended
    all the same: what is lacking is told as a notice, and tried again by the timer.
    """
    seen = sync_age(name)
    brought = sync_state().brought.get(name)
    if brought == configuration:
        _tell(name, seen)
        return
    _tell_reasons(name, seen)
    told = "not synced since its configuration changed" if brought else "not synced yet"
    effects().about[f"mirror {name}"] = told + _broken_off(seen) + _under_way(seen)
    note = Note(
        kind="sync",
        name=name,
        action=Action.RUN,
        before={"synced": "another configuration"} if brought else {},
        after={"synced": f"configuration {configuration}"},
        unknown=("what it fetches: the trees on the host tell that",),
        within=_WITHIN,
    )
    words = LAST_WORDS + _FOLLOW.format(
        unit=shlex.quote(f"crosprov-mirror@{name}.service"),
        state=shlex.quote(f"{STATES}/{name}"),
        configuration=shlex.quote(configuration),
    )
    yield Noted(PROGRESS + words, note)


@operation
def only_syncs(names: Collection[str], verified: Collection[str], /) -> Commands:
    """Remove the units and configurations of mirrors that this host does not sync any more.

    So go the units that verify mirrors which are not among the `verified`. Their stores and what
    is remembered of them stay.
    """
    seen = sync_state()
    old = [name for name in seen.units if name not in names]
    unread = [name for name in seen.verified if name not in verified]
    if not old and not unread:
        return
    before: dict[str, str | None] = dict.fromkeys(unread, "verified")
    before |= dict.fromkeys(old, "synced")
    units = [f"{UNITS}-verify@{name}" for name in unread] + [f"{UNITS}@{name}" for name in old]
    names_of = [posixpath.basename(unit) for unit in units]
    timers = " ".join(shlex.quote(f"{name}.timer") for name in names_of)
    services = " ".join(shlex.quote(f"{name}.service") for name in names_of)
    files = [f"{CONFIGURATIONS}/{name}.{end}" for name in old for end in ("json", "credentials")]
    # The service's file goes last: it tells that there is something to remove.
    files += [f"{unit}.{end}" for unit in units for end in ("timer", "service")]
    yield Noted(
        f"systemctl disable --now {timers} 2>/dev/null || :\n"
        f"systemctl stop {services} 2>/dev/null || :\n"
        f"rm -f {shlex.join(files)} && systemctl daemon-reload",
        Note("syncs", STATES, Action.DELETE, before=before),
    )


def _tell(name: str, seen: Synced) -> None:
    """Say in the host's status how old the last good sync is, and what is lacking."""
    lacking = f", {_files(seen.lacking)} lacking" if seen.lacking else ""
    since = _broken_off(seen) + _unclear(seen)
    about = f"{_age(seen)}{lacking}{since}{_read(seen)}{_under_way(seen)}"
    effects().about[f"mirror {name}"] = about
    _tell_reasons(name, seen)
    if seen.findings:
        effects().notices.append(
            f"the mirror {name} has {_files(seen.findings)} that were not as they should be when "
            f"all were read; `journalctl -u crosprov-mirror-verify@{name}.service` on the host "
            "tells which"
        )
    service = f"crosprov-mirror@{name}.service"
    if seen.lacking:
        effects().notices.append(
            f"the mirror {name} lacks {_files(seen.lacking)} that its trees need"
            f"{_because(seen)}; `journalctl -u {service}` on the host tells all"
        )
    elif seen.gave_up and not seen.progress:
        effects().notices.append(
            f"the last sync of the mirror {name} did not come to its end{_because(seen)}; "
            f"`journalctl -u {service}` on the host tells all"
        )
    elif seen.days is not None and seen.days >= _OLD:
        effects().notices.append(
            f"the last good sync of the mirror {name} was {_age(seen).partition('sync ')[2]}"
            f"{_because(seen)}; `systemctl status {service}` on the host tells why"
        )


def _tell_reasons(name: str, seen: Synced) -> None:
    """Say in the host's status why the last sync was not good."""
    if seen.reasons:
        effects().about[f"last sync of {name}"] = "; ".join(seen.reasons)


def _because(seen: Synced) -> str:
    return f": {'; '.join(seen.reasons)}" if seen.reasons else ""


def _age(seen: Synced) -> str:
    if seen.days is None:
        return "no good sync yet"
    if seen.days == 0:
        return "good sync less than a day ago"
    days = "1 day" if seen.days == 1 else f"{seen.days} days"
    if seen.days >= MOST_DAYS:
        days = f"{seen.days} or more days"
    return f"good sync {days} ago"


def _read(seen: Synced) -> str:
    if seen.verified is None:
        return ""
    days = "1 day" if seen.verified == 1 else f"{seen.verified} days"
    if seen.verified >= MOST_VERIFIED:
        days = f"{seen.verified} or more days"
    ago = "less than a day ago" if seen.verified == 0 else f"{days} ago"
    return f"; all read {ago}, {seen.findings or 'no'} finding{'' if seen.findings == 1 else 's'}"


def _broken_off(seen: Synced) -> str:
    return ", the last one broke off" if seen.gave_up and not seen.progress else ""


def _unclear(seen: Synced) -> str:
    if not seen.unclear:
        return ""
    notes = "1 note" if seen.unclear == 1 else f"{seen.unclear} notes"
    return f", not clear what its trees need: {notes}"


def _under_way(seen: Synced) -> str:
    return f"; under way: {seen.progress}" if seen.progress else ""


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"

"""Ask a mirror host what the syncs of its mirrors left, in one question."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyinfra.api import FactBase

# Of the last good sync only whole days are told, up to this many: a saved plan shall not go
# stale with every minute.
MOST_DAYS = 7


@dataclass(frozen=True, slots=True)
class Synced:
    """What the last sync of a mirror left.

    `configuration` names what it brought here, "" when none has ended yet. `lacking` counts the
    files that it could not get or prove; `days` is how long ago a sync last lacked nothing,
    MOST_DAYS for that and more, None for never.
    """

    configuration: str = ""
    lacking: int = 0
    days: int | None = None


@dataclass(frozen=True, slots=True)
class SyncState:
    """What is known of the syncs of a host.

    `units` names the mirrors that have units there, those of earlier inventories, too.
    """

    mirrors: Mapping[str, Synced] = field(default_factory=dict)
    units: tuple[str, ...] = ()


class SyncFact(FactBase[SyncState]):
    """Observe the syncs of a host, by the folder of their states and by their units' names."""

    title = "syncs of the mirrors below"

    def command(self, states: str, units: str) -> str:
        return (
            f"now=$(date +%s) || exit 1; for d in {shlex.quote(states)}/*/; do "
            'l=$(cat "$d/outcome" 2>/dev/null) || continue; g=never; '
            's=$(stat -c %Y "$d/good" 2>/dev/null) && g=$(( (now - s) / 86400 )) && '
            f'{{ [ "$g" -lt {MOST_DAYS} ] || g={MOST_DAYS}; }}; '
            'd=${d%/}; echo "state ${d##*/} $l $g"; done; '
            f"for u in {shlex.quote(units)}@*.service; do "
            '[ ! -e "$u" ] || { u=${u##*@}; echo "unit ${u%.service}"; }; done'
        )

    @staticmethod
    def default() -> SyncState:
        return SyncState()

    def process(self, output: list[str]) -> SyncState:
        mirrors: dict[str, Synced] = {}
        units = []
        for line in output:
            match line.split():
                case ["state", name, configuration, lacking, days]:
                    ago = None if days == "never" else max(int(days), 0)
                    mirrors[name] = Synced(configuration, int(lacking), ago)
                case ["unit", name]:
                    units.append(name)
        return SyncState(mirrors, tuple(units))

"""Ask a mirror host what the syncs of its mirrors left, and how they went."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pyinfra.api import FactBase

# Of the last good sync only whole days are told, up to this many.
MOST_DAYS = 7
MOST_VERIFIED = 60
_GAVE_UP = ("it gave up: ", "it was interrupted: ")  # as crosprov.mirror writes reasons


@dataclass(frozen=True, slots=True)
class SyncState:
    """What is known of the syncs of a host, and decides what is to be done.

    `brought` names, by mirror, the configuration whose sync ended last; `units` the mirrors that
    have units there, those of earlier inventories, too; `verified` those with units that verify.
    """

    brought: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()


class SyncFact(FactBase[SyncState]):
    """Observe the syncs of a host, by the folder of their states and by their units' names."""

    title = "syncs of the mirrors below"

    def command(self, states: str, units: str) -> str:
        return (
            f"for d in {shlex.quote(states)}/*/; do "
            'read -r c l 2>/dev/null <"$d/outcome" || continue; '
            'd=${d%/}; echo "state ${d##*/} $c"; done; '
            f"for u in {shlex.quote(units)}@*.service; do "
            '[ ! -e "$u" ] || { u=${u##*@}; echo "unit ${u%.service}"; }; done; '
            f"for u in {shlex.quote(units)}-verify@*.service; do "
            '[ ! -e "$u" ] || { u=${u##*@}; echo "verify ${u%.service}"; }; done'
        )

    @staticmethod
    def default() -> SyncState:
        return SyncState()

    def process(self, output: list[str]) -> SyncState:
        brought: dict[str, str] = {}
        units, verified = [], []
        for line in output:
            match line.split():
                case ["state", name, configuration]:
                    brought[name] = configuration
                case ["unit", name]:
                    units.append(name)
                case ["verify", name]:
                    verified.append(name)
        return SyncState(brought, tuple(units), tuple(verified))


@dataclass(frozen=True, slots=True)
class Synced:
    """How the syncs of a mirror went, for people.

    `lacking` counts the files that the last one could not get or prove; `days` is how long ago
    one last lacked nothing, MOST_DAYS for that and more, None for never. `progress` is how far
    the present one is, "" for none. `verified` is how long ago all files were read, in days up
    to MOST_VERIFIED, None for never; `findings` counts those that were not as they should be.
    `reasons` say why the last sync was not good. `unclear` counts the places of its trees that
    hide what they need.
    """

    lacking: int = 0
    days: int | None = None
    progress: str = ""
    verified: int | None = None
    findings: int = 0
    reasons: tuple[str, ...] = ()
    unclear: int = 0

    @property
    def gave_up(self) -> bool:
        """Tell whether the last sync ended before it had tried everything."""
        return any(one.startswith(_GAVE_UP) for one in self.reasons)


class SyncAgeFact(FactBase[dict[str, Synced]]):
    """Observe how the syncs of a host went. It changes by itself, and no plan rests on it."""

    title = "ages of the syncs below"
    decides = False

    def command(self, states: str, unit: str) -> str:
        return (
            f"now=$(date +%s) || exit 1; for d in {shlex.quote(states)}/*/; do "
            'd=${d%/}; n=${d##*/}; [ -d "$d" ] || continue; g=never; l=0; p=; '
            's=$(stat -c %Y "$d/good" 2>/dev/null) && g=$(( (now - s) / 86400 )) && '
            f'{{ [ "$g" -lt {MOST_DAYS} ] || g={MOST_DAYS}; }}; '
            'read -r c l 2>/dev/null <"$d/outcome" || l=0; '
            'v=never; w=0; read -r w 2>/dev/null <"$d/verified" && '
            's=$(stat -c %Y "$d/verified" 2>/dev/null) && v=$(( (now - s) / 86400 )) && '
            f'{{ [ "$v" -lt {MOST_VERIFIED} ] || v={MOST_VERIFIED}; }}; '
            f'a=$(systemctl show -P ActiveState {shlex.quote(unit)}@"$n".service 2>/dev/null); '
            '[ "$a" != activating ] || p="; $(head -n 1 "$d/progress" 2>/dev/null)"; '
            't=0; read -r t 2>/dev/null <"$d/unclear" || t=0; '
            'echo "$n $l $g $v ${w:-0} $t$p"; '
            "sed -n '1,9s/^/  /p' \"$d/reasons\" 2>/dev/null || :; done"
        )

    @staticmethod
    def default() -> dict[str, Synced]:
        return {}

    def process(self, output: list[str]) -> dict[str, Synced]:
        found: dict[str, Synced] = {}
        name = ""
        for line in output:
            if line.startswith("  "):
                known = found[name]
                found[name] = replace(known, reasons=(*known.reasons, line.strip()))
                continue
            words, under_way, progress = line.partition(";")
            name, lacking, days, verified, findings, unclear = words.split()
            said = (progress.strip() or "it begins") if under_way else ""
            found[name] = Synced(
                int(lacking),
                _ago(days),
                said,
                _ago(verified),
                int(findings),
                unclear=int(unclear),
            )
        return found


def _ago(days: str) -> int | None:
    return None if days == "never" else max(int(days), 0)

"""Ask for a systemd unit and for the mark of a restart that is due, in one question."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase

_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit"
_ENABLED = {"enabled", "enabled-runtime"}
_NOTHING_TO_ENABLE = {"", "static", "alias", "indirect", "generated", "transient"}


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit, and whether a restart of it is due."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    file: str = ""  # UnitFileState
    stale: bool = False  # its file is newer than what systemd has loaded
    runs_once: bool = False  # a oneshot that is not active any more when it has done its work
    has_run: bool = False  # since the host was booted
    due: bool = False  # a mark on the host asks for a restart
    has_systemd: bool = True

    @property
    def exists(self) -> bool:
        """Tell whether systemd knows the unit."""
        return self.load != "not-found"

    @property
    def broken(self) -> bool:
        """Tell whether systemd refuses the unit's file."""
        return self.load in ("error", "bad-setting")

    @property
    def masked(self) -> bool:
        """Tell whether the unit is made unstartable."""
        return self.load == "masked" or self.file.startswith("masked")

    @property
    def running(self) -> bool:
        """Tell whether the unit does what it is started for, or has done it."""
        if self.runs_once:
            return self.has_run and self.active == "inactive"
        return self.active in ("active", "reloading", "refreshing")

    @property
    def stopped(self) -> bool:
        """Tell whether nothing of the unit runs."""
        return self.active in ("inactive", "failed")

    @property
    def enabled(self) -> bool:
        """Tell whether the unit starts at boot, or has nothing by which it could be told to."""
        return self.file in _ENABLED or self.file in _NOTHING_TO_ENABLE

    @property
    def disabled(self) -> bool:
        """Tell whether nothing was done to start the unit at boot."""
        return self.file not in _ENABLED

    @property
    def words(self) -> str:
        """Word what the unit does now."""
        return self.active if self.sub in ("", self.active) else f"{self.active} ({self.sub})"


class UnitFact(FactBase[UnitState]):
    """Observe a unit; `mark` is the path of the mark of a restart that is due."""

    title = "unit"

    def command(self, unit: str, mark: str) -> str:
        # The time of the last start tells only whether there was one: facts hold no times.
        return (
            "if command -v systemctl >/dev/null 2>&1; then "
            f"s=$(systemctl show -p {_PROPERTIES},ExecMainStartTimestampMonotonic "
            f"-- {shlex.quote(unit)}) || exit 1; "
            "printf '%s\\n' \"$s\" | sed 's/^\\(ExecMainStart\\)[^=]*=0*$/\\1=no/; "
            "s/^\\(ExecMainStart\\)[^=]*=[1-9].*/\\1=yes/'; else echo LoadState=no-systemd; fi; "
            f"[ ! -e {shlex.quote(mark)} ] || echo Due=yes"
        )

    @staticmethod
    def default() -> UnitState:
        return UnitState()

    def process(self, output: list[str]) -> UnitState:
        said = dict(line.split("=", 1) for line in output if "=" in line)
        load = said.get("LoadState", "not-found")
        return UnitState(
            load="not-found" if load == "no-systemd" else load,
            active=said.get("ActiveState", "inactive"),
            sub=said.get("SubState", ""),
            file=said.get("UnitFileState", ""),
            stale=said.get("NeedDaemonReload") == "yes",
            runs_once=said.get("Type") == "oneshot" and said.get("RemainAfterExit") == "no",
            has_run=said.get("ExecMainStart") == "yes",
            due="Due" in said,
            has_systemd=load != "no-systemd",
        )

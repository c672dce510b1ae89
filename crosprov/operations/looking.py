"""What is worth knowing of a DUT: for its status, and for who wonders why nothing takes effect."""

from __future__ import annotations

from pathlib import PurePosixPath

from pyinfra import host

from crosprov.facts.engine import NEBRASKA, DutFact, DutState
from crosprov.facts.files import Kind, PathFact
from crosprov.lsb_release import OVERRIDE, TRACK
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.merge import LIMIT
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation

_STATUS = "UPDATE_STATUS_"


def dut_state() -> DutState:
    """Give what was observed of the current host, which is a DUT."""
    return host.get_fact(DutFact, records=PurePosixPath(state_dir()))


@operation
def look(board: str, /, *, server: str | None = None) -> Commands:
    """Tell what the DUT is for its status, and what keeps the inventory's words from counting.

    `server` is the dev server that it is pointed at.
    """
    state = dut_state()
    seen = host.get_fact(PathFact, path=OVERRIDE, limit=LIMIT)
    stateful = seen.content or b"" if seen.kind is Kind.FILE else b""
    _about(state, stateful)
    notices = effects().notices
    if state.board and state.board != board:
        notices.append(f"its image is for the board {state.board}, and the inventory says {board}")
    if server is not None and not state.override_counts:
        notices.append(
            "its build is official and was booted with verification, so update_engine ignores "
            f"{OVERRIDE}; put it into developer mode, or install a test image"
        )
    if server is not None and state.nebraska:
        notices.append(
            f"nebraska is configured on it ({NEBRASKA}) and sets CHROMEOS_AUSERVER whenever the "
            f"update engine starts, so updates do not come from {server}; remove that file"
        )
    yield from ()


def _about(state: DutState, stateful: bytes) -> None:
    about = effects().about
    found = state.release
    about["board"] = state.board or "unknown"
    about["release version"] = found.get("CHROMEOS_RELEASE_VERSION", "").strip() or "unknown"
    about["channel"] = found.get(TRACK, "").strip() or "unknown"
    about["updates from"] = state.updates_from(stateful)
    about["update engine"] = _engine(state)


def _engine(state: DutState) -> str:
    if not state.operation:
        return "no answer"
    words = state.operation.removeprefix(_STATUS).lower().replace("_", " ")
    version = state.new_version if state.at_work or state.needs_reboot else ""
    return f"{words} {version}".rstrip()

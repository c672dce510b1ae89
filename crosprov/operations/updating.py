"""The build that a DUT runs: installed by its own update engine from its dev server."""

from __future__ import annotations

from typing import Literal

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.engine import DutState
from crosprov.facts.fetching import ServedFact
from crosprov.operations import stateful as partition
from crosprov.operations.effects import effects
from crosprov.operations.installation import Installation, Source
from crosprov.operations.looking import dut_state
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.reboots import reboot as reboot_command
from crosprov.planning.plan import Action

UPDATE_WITHIN = 3600.0  # seconds for the download and the installation, of each partition


def runs(label: str, numbers: str, state: DutState) -> bool:
    """Tell whether a DUT runs a build; an image without a builder path is known by its version."""
    path = state.builder_path
    return path == label if path else state.release.get("CHROMEOS_RELEASE_VERSION") == numbers


def running(state: DutState) -> str:
    """Name the build that runs."""
    return state.builder_path or state.release.get("CHROMEOS_RELEASE_VERSION", "") or "unknown"


def installed(label: str, numbers: str, state: DutState) -> bool:
    """Tell whether a build is installed beside the one that runs, and starts with a reboot."""
    return state.needs_reboot and (state.updating == label or state.new_version == numbers)


@operation
def served(source: Source, /, *, label: str) -> Commands:
    """Say when a build that updates are pinned at is not staged on the dev server."""
    answer = host.get_fact(ServedFact, url=source.staged_url())
    if answer == "False":
        effects().notices.append(
            f"{label} is not staged on {source.name}; name it under stage there"
        )
    yield from ()


@operation
def build(
    label: str,
    /,
    *,
    numbers: str,
    source: Source,
    board: str,
    reboot: Literal["never", "ask", "allow"] = "ask",
    reboot_within: float = 600.0,
    stateful: bool = False,
    pinned: bool = False,
) -> Commands:
    """Make the DUT run a build: update it from its dev server, reboot it, look what came up.

    `numbers` is the release version of the build, `reboot_within` is in seconds. With `stateful`
    the stateful partition is replaced by the build's, too. `pinned` says that CHROMEOS_AUSERVER
    names the build. What is installed already is only booted. An update that crosprov began
    before goes on. Raises PlanError while somebody else's update is under way, for an image of
    another board and for one that takes no address to update from.
    """
    state = dut_state()
    up = runs(label, numbers, state)
    if up and (state.needs_reboot or not (stateful and partition.missed(label, state))):
        _pending(label, state)
        return
    _refuse(label, board, state)
    wanted = Installation(
        label, numbers, source,
        root=not (up or installed(label, numbers, state)),
        stateful=stateful and not partition.placed(label, state),
    )  # fmt: skip
    if wanted.root and state.official and not pinned:
        effects().notices.append(
            f"its build is official: once it has an owner, it takes {label} only from an address "
            f"in CHROMEOS_AUSERVER that names it; write label: {label}, too"
        )
    note = _note(wanted, state, up, stateful)
    if wanted.root or wanted.stateful:
        yield Noted(wanted.commands(state), note)
    if reboot == "never":
        is_there = "will be" if wanted.root or wanted.stateful else "is"
        effects().notices.append(
            f"{label} {is_there} installed and starts with the next reboot (reboot: never)"
        )
        return
    if stateful:
        effects().emptied.update(partition.REPLACED)
    first = not (wanted.root or wanted.stateful)
    yield reboot_command(within=reboot_within, ask=reboot == "ask", note=note if first else None)
    yield StringCommand(wanted.verify(replaced=stateful))


def _note(wanted: Installation, state: DutState, up: bool, stateful: bool) -> Note:
    label = wanted.label
    before: dict[str, str | None] = {} if up else {"build": running(state)}
    after: dict[str, str | None] = {} if up else {"build": label}
    if not (up or wanted.root):
        after["update"] = "installed already"
    elif state.at_work:
        after["update"] = "under way already"
    after["stateful"] = "replaced by that of the build" if stateful else "stays as it is"
    within = UPDATE_WITHIN * (wanted.root + wanted.stateful) or None
    return Note("build", label, Action.UPDATE, before=before, after=after, within=within)


def _pending(label: str, state: DutState) -> None:
    if state.needs_reboot:
        effects().notices.append(
            f"it runs {label}, and leaves it with the next reboot: an update to "
            f"{state.new_version or 'another build'} is installed; "
            "`update_engine_client --reset_status` gives that up"
        )


def _refuse(label: str, board: str, state: DutState) -> None:
    if state.board and state.board != board:
        raise PlanError(
            f"it shall run {label}, and its image is for the board {state.board}, not {board}",
            hint="is this the right host, or the right board?",
        )
    if not state.override_counts:
        raise PlanError(
            f"it shall run {label}, and its official, verified image takes updates from its own "
            "server only",
            hint="put it into developer mode, or install a test image",
        )
    if state.at_work and state.updating != label:
        name = state.operation.removeprefix("UPDATE_STATUS_")
        raise PlanError(
            f"it shall run {label}, and its update engine is at work on {state.new_version} for "
            f"somebody else ({name})",
            hint="wait until that has ended; `update_engine_client --status` tells",
        )

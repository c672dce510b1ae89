"""The build that a DUT runs: installed by its own update engine from its dev server."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov import update_errors
from crosprov.errors import PlanError
from crosprov.facts.engine import BUILD_RECORD, PATHS, DutState
from crosprov.facts.fetching import FETCH_FUNCTIONS, ServedFact
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.looking import dut_state
from crosprov.operations.note import PROGRESS, Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.reboots import reboot as reboot_command
from crosprov.planning.plan import Action

UPDATE_WITHIN = 3600.0  # seconds for the download and the installation
REBOOT_WITHIN = 600.0  # seconds: a first boot of a new build takes longer
_SERVED_WITHIN = 30  # seconds: the dev server's own wave has staged the build

_SCRIPT = r"""
field() { update_engine_client --status 2>/dev/null | sed -n "s/^$1=//p" | tail -n 1; }
tell() {
  said=$(update_engine_client --status 2>/dev/null | awk -F= '
    { is[$1] = $2 }
    END {
      now = is["CURRENT_OP"]; size = is["NEW_SIZE"] / 1048576
      if (now ~ /CHECKING|AVAILABLE/) print "asks the dev server"
      if (now ~ /DOWNLOADING/) printf "downloads, %d %% of %.1f MiB\n", is["PROGRESS"] * 100, size
      if (now ~ /VERIFYING/) print "verifies"
      if (now ~ /FINALIZING/) print "installs"
    }')
  [ -z "$said" ] || progress "$said"
}
follow() {
  update_engine_client "$@" 4>&- 9>&- &
  pid=$!
  while kill -0 $pid 2>/dev/null; do tell; sleep 1; done
  wait $pid
}
last_error() {
  update_engine_client --last_attempt_error 2>&1 | sed -n \
    -e 's/.*ERROR_CODE=\([0-9]*\).*/\1/p' | tail -n 1
}
refused() {
  rm -f "$record"
  code=$(last_error)
  case $code in
    ''|0) echo "update_engine did not install $label: it is at $(field CURRENT_OP), and \
names no error" >&2;;
    *) echo "update_engine did not install $label: error $code: $(explain "$code")" >&2;;
  esac
  exit 1
}
"""


@dataclass(frozen=True, slots=True)
class Source:
    """The dev server that a build comes from."""

    name: str
    root: str  # like http://10.0.0.6:8080
    archive: str  # where the dev server gets the build

    def update_url(self, label: str) -> str:
        """Give the address that answers update requests for a build."""
        return f"{self.root}/update/{label}"

    def served_url(self) -> str:
        """Give the question whether the build's payload is staged."""
        kind = "local_path" if self.archive.startswith("/") else "archive_url"
        return (
            f"{self.root}/is_staged?{kind}={quote(self.archive, safe=':/')}&artifacts=full_payload"
        )


def runs(label: str, numbers: str, state: DutState) -> bool:
    """Tell whether a DUT runs a build; an image without a builder path is known by its version."""
    path = state.release.get("CHROMEOS_RELEASE_BUILDER_PATH", "").strip()
    return path == label if path else state.release.get("CHROMEOS_RELEASE_VERSION") == numbers


def running(state: DutState) -> str:
    """Name the build that runs."""
    found = state.release
    path = found.get("CHROMEOS_RELEASE_BUILDER_PATH", "").strip()
    return path or found.get("CHROMEOS_RELEASE_VERSION", "") or "unknown"


def installed(label: str, numbers: str, state: DutState) -> bool:
    """Tell whether a build is installed beside the one that runs, and starts with a reboot."""
    return state.needs_reboot and (state.updating == label or state.new_version == numbers)


@operation
def served(source: Source, /, *, label: str) -> Commands:
    """Say when a build that updates are pinned at is not staged on the dev server."""
    answer = host.get_fact(ServedFact, url=source.served_url())
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
    reboot: Literal["never", "ask", "allow"],
) -> Commands:
    """Make the DUT run a build: update it from its dev server, reboot it, look what came up.

    `numbers` is the release version of the build. What is installed already is only booted. An
    update that crosprov began before goes on. Raises PlanError while somebody else's update is
    under way, for an image of another board and for one that takes no address to update from.
    """
    state = dut_state()
    if runs(label, numbers, state):
        _pending(label, state)
        return
    _refuse(label, board, state)
    ready = installed(label, numbers, state)
    note = _note(label, state, ready)
    if not ready:
        yield Noted(_update(label, source, state), note)
    if reboot == "never":
        is_there = "is" if ready else "will be"
        effects().notices.append(
            f"{label} {is_there} installed and starts with the next reboot (reboot: never)"
        )
        return
    yield reboot_command(within=REBOOT_WITHIN, ask=reboot == "ask", note=note if ready else None)
    yield StringCommand(_verify(label, numbers))


def _note(label: str, state: DutState, ready: bool) -> Note:
    after: dict[str, str | None] = {"build": label}
    if ready:
        after["update"] = "installed already"
    elif state.at_work:
        after["update"] = "under way already"
    before: dict[str, str | None] = {"build": running(state)}
    return Note("build", label, Action.UPDATE, before=before, after=after, within=UPDATE_WITHIN)


def _pending(label: str, state: DutState) -> None:
    if state.needs_reboot:
        effects().notices.append(
            f"it runs {label}, and leaves it with the next reboot: an update to "
            f"{state.new_version or 'another build'} is installed; "
            "`update_engine_client --reset_status` gives that up"
        )


def _refuse(label: str, board: str, state: DutState) -> None:
    of_image = state.release.get("CHROMEOS_RELEASE_BOARD", "").strip().partition("-signed-")[0]
    if of_image and of_image != board:
        raise PlanError(
            f"it shall run {label}, and its image is for the board {of_image}, not {board}",
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


def _update(label: str, source: Source, state: DutState) -> str:
    record = f"{state_dir()}/{BUILD_RECORD}"
    begin = f"follow --update --omaha_url={shlex.quote(source.update_url(label))}"
    if state.at_work:
        begin = "follow --follow"
    elif state.needs_reboot:
        begin = f"update_engine_client --reset_status >&2 && {begin}"
    return (
        f"{PROGRESS}{PATHS}{FETCH_FUNCTIONS}{update_errors.shell_function()}"
        f"label={shlex.quote(label)}; record={shlex.quote(record)}\n"
        f"{_SCRIPT}"
        f"{_wait_until_served(label, source)}"
        'read -r boot < /proc/sys/kernel/random/boot_id; printf \'%s %s\\n\' "$label" "$boot" '
        '> "$record.part" && mv "$record.part" "$record" || exit 1\n'
        f"{begin} || refused\n"
        '[ "$(field CURRENT_OP)" = UPDATE_STATUS_UPDATED_NEED_REBOOT ] || refused'
    )


def _wait_until_served(label: str, source: Source) -> str:
    url = shlex.quote(source.served_url())
    missing = shlex.quote(f"{source.name} has not staged {label}; it answers: ")
    return (
        "read -r up _ < /proc/uptime; end=$((${up%.*} + "
        f"{_SERVED_WITHIN}))\n"
        f'until said=$(fetch {url} - 10 2>&1 | tail -n 1); [ "$said" = True ]; do\n'
        "  read -r up _ < /proc/uptime\n"
        '  if [ "${up%.*}" -ge "$end" ]; then\n'
        f'    echo {missing}"${{said:-nothing}}" >&2; exit 1\n'
        "  fi\n"
        "  sleep 1\n"
        "done\n"
    )


def _verify(label: str, numbers: str) -> str:
    record = shlex.quote(f"{state_dir()}/{BUILD_RECORD}")
    return (
        'now() { sed -n "s/^CHROMEOS_RELEASE_$1=//p" /etc/lsb-release | tail -n 1; }\n'
        "path=$(now BUILDER_PATH)\n"
        f'if [ "${{path:-$(now VERSION)}}" = {shlex.quote(label)} ] || '
        f'{{ [ -z "$path" ] && [ "$(now VERSION)" = {shlex.quote(numbers)} ]; }}; then\n'
        f"  rm -f {record}; exit 0\n"
        "fi\n"
        f'echo "it came back with ${{path:-$(now VERSION)}} and not with "{shlex.quote(label)}'
        '": the new build did not boot, and the firmware went back to the old one" >&2\n'
        "exit 1"
    )

"""The commands that install a build on a DUT and look what came up: its update engine's client."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from crosprov import update_errors
from crosprov.facts.engine import BUILD_RECORD, DutState
from crosprov.facts.fetching import FETCH_FUNCTIONS
from crosprov.operations import stateful
from crosprov.operations.effects import state_dir
from crosprov.operations.note import PROGRESS

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
  [ -z "$with_stateful" ] || discard_stateful
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
    archive: str  # the address at which the dev server gets the build
    build: str  # what it is called on the dev server

    @property
    def update_url(self) -> str:
        """Give the address that answers update requests for the build."""
        return f"{self.root}/update/{quote(self.build)}"

    @property
    def stateful_url(self) -> str:
        """Give the address of the build's stateful partition."""
        return f"{self.root}/static/{quote(self.build)}/stateful.tgz"

    def staged_url(self, artifacts: Sequence[str] = ("full_payload",)) -> str:
        """Give the question whether artifacts of the build are staged."""
        archive = quote(self.archive, safe=":/")
        return f"{self.root}/is_staged?archive_url={archive}&artifacts={','.join(artifacts)}"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is left to be installed of a build; with neither part it waits for a reboot only."""

    label: str
    numbers: str  # the release version
    source: Source
    root: bool  # the root partition, by the update engine
    stateful: bool  # the stateful partition, from stateful.tgz

    def commands(self, state: DutState) -> str:
        """Give the commands that install, which report how far they are."""
        artifacts = ["full_payload"] if self.root else []
        artifacts += ["stateful"] if self.stateful else []
        steps = [
            f"{PROGRESS}{FETCH_FUNCTIONS}{update_errors.shell_function()}"
            f"label={shlex.quote(self.label)}; record={shlex.quote(_record())}; "
            f"with_stateful={'yes' if self.stateful else ''}\n"
            f"{_SCRIPT}{stateful.functions()}{_wait_until_staged(self.source, artifacts)}"
        ]
        if self.stateful:
            url = shlex.quote(self.source.stateful_url)
            steps.append(f"take_stateful {url} || {{ discard_stateful; exit 1; }}\n")
        elif state.stateful:  # of another build, for a reboot that has not come
            steps.append("discard_stateful\n")
        if self.root:
            steps.append(self._update(state))
        if self.stateful:
            steps.append("place_stateful || exit 1\n")
        return "".join(steps)

    def verify(self, *, replaced: bool) -> str:
        """Give the commands that fail when something else came up.

        With `replaced` the boot must have put a new stateful partition in place.
        """
        label, numbers = shlex.quote(self.label), shlex.quote(self.numbers)
        return (
            'now() { sed -n "s/^CHROMEOS_RELEASE_$1=//p" /etc/lsb-release | tail -n 1; }\n'
            "path=$(now BUILDER_PATH)\n"
            f'if [ "${{path:-$(now VERSION)}}" != {label} ] && '
            f'{{ [ -n "$path" ] || [ "$(now VERSION)" != {numbers} ]; }}; then\n'
            f'  echo "it came back with ${{path:-$(now VERSION)}} and not with "{label}'
            '": the new build did not boot, and the firmware went back to the old one" >&2\n'
            "  exit 1\n"
            "fi\n"
            f"rm -f {shlex.quote(_record())}\n"
        ) + (stateful.verify() if replaced else "")

    def _update(self, state: DutState) -> str:
        begin = f"follow --update --omaha_url={shlex.quote(self.source.update_url)}"
        if state.at_work:
            begin = "follow --follow"
        elif state.needs_reboot:
            begin = f"update_engine_client --reset_status >&2 && {begin}"
        return (
            "read -r boot < /proc/sys/kernel/random/boot_id; "
            'printf \'%s %s\\n\' "$label" "$boot" '
            '> "$record.part" && mv "$record.part" "$record" || exit 1\n'
            f"{begin} || refused\n"
            '[ "$(field CURRENT_OP)" = UPDATE_STATUS_UPDATED_NEED_REBOOT ] || refused\n'
        )


def _record() -> str:
    return f"{state_dir()}/{BUILD_RECORD}"


def _wait_until_staged(source: Source, artifacts: Sequence[str]) -> str:
    url = shlex.quote(source.staged_url(artifacts))
    missing = shlex.quote(f"{source.name} has not staged ")
    advice = shlex.quote(f". Apply {source.name}, too: it stages what its DUTs want")
    return (
        "read -r up _ < /proc/uptime; end=$((${up%.*} + "
        f"{_SERVED_WITHIN}))\n"
        f'until said=$(fetch {url} - 10 2>&1 | tail -n 1); [ "$said" = True ]; do\n'
        "  read -r up _ < /proc/uptime\n"
        '  if [ "${up%.*}" -ge "$end" ]; then\n'
        f'    echo {missing}"$label; it answers: ${{said:-nothing}}"{advice} >&2\n'
        "    exit 1\n"
        "  fi\n"
        "  sleep 1\n"
        "done\n"
    )

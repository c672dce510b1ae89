"""The stateful partition of a test image, which goes with its build as the root partition does.

As chromite does it (lib/stateful_updater.py, 2022): the build's stateful.tgz is unpacked beside
what is in use, and a file tells the next boot in developer mode to put it in its place (platform2,
init/startup/stateful_mount.cc). That boot empties /usr/local; the rest of the partition stays.
"""

from __future__ import annotations

import shlex

from crosprov.facts.engine import STATEFUL_RECORD, DutState
from crosprov.operations.effects import state_dir

ROOT = "/mnt/stateful_partition"
REPLACED = ("/usr/local", f"{ROOT}/dev_image", f"{ROOT}/var_overlay")
_FETCHED_WITHIN = 3600  # seconds
_REPLACED_WITHIN = 30  # seconds after sshd answers: the boot tidies up in the background

# A boot that comes before `place_stateful` finds no word of what was unpacked, and leaves it.
_FUNCTIONS = r"""
discard_stateful() {
  rm -rf "$ready" "$root/var_new" "$root/dev_image_new" "$archive" "$phase"
}
take_stateful() {
  discard_stateful && echo "$label wanted" > "$phase" || return 1
  progress "fetches the stateful partition"
  fetch "$1" "$archive" WITHIN || { echo "$1 could not be fetched" >&2; return 1; }
  progress "unpacks the stateful partition"
  tar --overwrite --selinux -C "$root" -xzf "$archive" && rm -f "$archive" || return 1
  [ -d "$root/var_new" ] && [ -d "$root/dev_image_new" ] && return 0
  echo "$1 lacks var_new or dev_image_new, so it is not that of a test image" >&2
  return 1
}
place_stateful() {
  : > "$ready" && sync && echo "$label placed" > "$phase"
}
""".replace("WITHIN", str(_FETCHED_WITHIN))


def placed(label: str, state: DutState) -> bool:
    """Tell whether the next boot finds a build's stateful partition, or the last one found it."""
    return state.stateful == f"{label} placed"


def missed(label: str, state: DutState) -> bool:
    """Tell whether the DUT was booted before a build's stateful partition was in place."""
    return state.stateful == f"{label} wanted"


def functions() -> str:
    """Define `take_stateful URL`, `place_stateful` and `discard_stateful`, for $label."""
    return _names() + _FUNCTIONS


def verify() -> str:
    """Give the commands that fail when the boot has not taken what was placed."""
    return (
        f"{_names()}n=0\n"
        'while [ -e "$ready" ]; do\n'
        f"  if [ $n -ge {_REPLACED_WITHIN} ]; then\n"
        '    echo "it did not replace its stateful partition when it booted: $ready is still '
        'there; is it in developer mode?" >&2; exit 1\n'
        "  fi\n"
        "  n=$((n + 1)); sleep 1\n"
        "done\n"
        'rm -f "$phase"\n'
    )


def _names() -> str:
    root, records = shlex.quote(ROOT), shlex.quote(state_dir())
    return (
        f"root={root}; ready=$root/.update_available; archive={records}/stateful.tgz; "
        f"phase={records}/{STATEFUL_RECORD}\n"
    )

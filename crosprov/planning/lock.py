"""The lock that a run takes on a host while it changes it.

A directory, because `mkdir` is atomic everywhere. Its owner is recorded with process id, start
time and boot id, so that a lock left behind by a crash or a reboot is recognised as such.
"""

from __future__ import annotations

from crosprov.planning.batch import Answer
from crosprov.planning.boot import BOOT_ID

_ALIVE = f"""\
boot_id() {{{{ cat {BOOT_ID}; }}}}
alive() {{{{  # a line "pid start boot who": is that process still there?
  set -- $1
  [ "$3" = "$(boot_id)" ] &&
    [ "$2" = "$(cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null)" ]
}}}}
"""

HELD = (
    _ALIVE
    + """\
if o=$(cat '{state}/lock/owner' 2>/dev/null) && alive "$o"; then
  printf '%s\\n' "$o"
fi"""
)
"""Ask who holds the lock; prints nothing when nobody does."""

TAKE = (
    _ALIVE
    + """\
take() {{
  n=0
  until mkdir "$S/lock" 2>/dev/null; do
    [ -d "$S" ] && [ -w "$S" ] || return 1
    if o=$(cat "$S/lock/owner" 2>/dev/null) && [ -n "$o" ]; then
      if alive "$o"; then say busy "$o"; exit 0; fi
    else
      # Its owner may be about to sign; give it a moment.
      n=$((n + 1)); [ $n -gt 2 ] || {{ sleep 1; continue; }}
    fi
    mv "$S/lock" "$S/lock.$$" 2>/dev/null && rm -rf "$S/lock.$$"
    n=$((n + 1)); [ $n -lt 9 ] || return 1
  done
  trap 'rm -rf "$S/lock"' EXIT
  printf '%s %s %s %s\\n' $$ "$(cut -d' ' -f22 /proc/$$/stat)" \\
    "$(boot_id)" {who} |
    cat > "$S/lock/owner"  # unlike a shell's own printf, cat says why a disk takes nothing
}}
"""
)
"""Define `take`: take the lock until the shell ends, or say who holds it and exit.

Defines `boot_id`, too, which prints the id of the boot.
"""


def busy(host: str, owner: str, own: str) -> str:
    """Say who is at work on a host; `owner` and `own`, of this run, are user@machine.

    A run that was interrupted here goes on there to the end of its step.
    """
    if owner == own:
        return f"an earlier run of yours is still at work on {host}: {owner}"
    return f"another run is at work on {host}: {owner}"


def holder(answer: Answer) -> str | None:
    """Word who holds the lock, None when nobody does."""
    words = answer.stdout.decode("utf-8", "replace").split(" ", 3)
    return words[3].strip() if len(words) == 4 else None

"""What a service's program said last, so that its own reason is told and not systemd's."""

from __future__ import annotations

LAST_WORDS = """\
last_words() {
  journalctl --sync 2>/dev/null || :
  run= said=
  [ "$(systemctl show -P ActiveState "$1")" != failed ] ||
    run=$(systemctl show -P InvocationID "$1")
  [ -z "$run" ] || said=$(
    journalctl -q --no-pager -o cat -n 60 "_SYSTEMD_INVOCATION_ID=$run" 2>/dev/null
  )
  reason=$(printf '%s\\n' "$said" | sed -n '/^error: /,$p')
  if [ -n "$reason" ]; then printf '%s\\n' "$reason"
  elif [ -n "$said" ]; then printf '%s\\n' "$said" | tail -n 20
  else systemctl --no-pager --full --lines=20 status "$1"
  fi
}
"""
"""A shell function: `last_words UNIT` prints why a unit failed.

That is what the last run's program says from its `error: ` on, else its last lines, else what
systemctl knows.
"""


def taken_apart(said: str) -> tuple[str, str | None] | None:
    """Give the sentence and the hint of `error: …` and `hint: …`; None for other words."""
    head, _, rest = said.strip().partition("\nhint: ")
    if not head.startswith("error: ") or "\n" in head:
        return None
    return head.removeprefix("error: "), rest or None

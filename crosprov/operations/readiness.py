"""Wait on a host until a URL of it answers, as a shell function for the end of a change."""

from __future__ import annotations

import re
import shlex

from crosprov.errors import PlanError
from crosprov.facts.http import ASK_FUNCTION
from crosprov.secrets import vault

SUCCESS = "2??|3??"  # the answers, as a pattern of `case`, that mean that a service is ready
READY_WITHIN = 30  # seconds
_URL = re.compile(r"https?://[^\s'\"/?#]+(?:[/?#][!-~]*)?")


def checked_url(url: str) -> str:
    """Give a URL that can be asked; raises PlanError for another one, or one with a secret."""
    if vault.tokens_in(url):
        raise PlanError(
            "a URL that is asked on the host holds a secret, which every user there could see",
            hint="probe an address that needs no secret",
        )
    if not _URL.fullmatch(url):
        raise PlanError(
            f"{url!r} is not a URL that can be asked",
            hint="give it like http://127.0.0.1:8080/check_health",
        )
    return url


def answers_function(url: str, pattern: str = SUCCESS, within: int = READY_WITHIN) -> str:
    """Define the shell function `answers`: succeed when the URL does, else say what it did.

    `pattern` is one of the shell's `case`, over the three digits of the HTTP status; `within`
    is in seconds.
    """
    address = shlex.quote(url)
    return (
        ASK_FUNCTION
        + f"""answers() {{
  read -r up _ < /proc/uptime; end=$((${{up%.*}} + {within}))
  while s=$(http_status {address}); do
    case $s in
      {pattern}) return 0;;
      unable) echo 'this host has neither curl, wget, busybox nor perl to ask '{address} >&2
        return 1;;
    esac
    read -r up _ < /proc/uptime; [ "${{up%.*}}" -lt "$end" ] || break
    sleep 1
  done
  [ "$s" != none ] || s='no answer at all'
  echo {address}" is not ready after {within} s; last: $s" >&2
  return 1
}}
"""
    )

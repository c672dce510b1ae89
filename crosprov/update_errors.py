"""What the numbers mean with which update_engine fails.

From update_engine/common/error_code.h of platform2 (2023) and from what people met; a number
of 2000 and more is 2000 and the HTTP status of the answer to the Omaha request.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

HTTP = 2000  # a code of so much or more: this and the HTTP status
FLAGS = 0xF0000000  # developer mode, resumed, test image, test server: not a part of the code

ERRORS: Mapping[int, str] = {
    1: "the update failed, and update_engine does not say why",
    5: "the new build's own program for the end of an installation failed",
    7: "the partition to install to cannot be opened: is it mounted, or the disk faulty?",
    9: "the payload could not be downloaded: its URL cannot be reached from the DUT",
    10: "the payload has another hash than its metadata says: stage the build anew",
    11: "the payload has another size than its metadata says: stage the build anew",
    12: "the payload's signature could not be verified",
    14: "what was downloaded could not be written: is the disk faulty, or full?",
    18: "the payload's signature is missing, and this image wants one",
    20: "the payload is a delta for another build than the one that runs",
    31: "the dev server's answer is not the XML of an update protocol",
    34: "the dev server's answer to the update request is invalid",
    35: "a policy of the DUT ignores the update",
    36: "a policy of the DUT defers the update",
    37: "the dev server answered the update request with an HTTP error: is the label right?",
    47: "the installed partition does not hold what the payload says: is the payload damaged, or "
    "the disk faulty?",
    49: "it is not critical and the DUT is still at its first setup: use critical_update",
    53: "the dev server has no update for the DUT; its log tells why",
    57: "curl failed while it asked the dev server",
    58: "the dev server's name could not be resolved on the DUT",
    60: "the DUT's disk has no room for the update",
}

_UNKNOWN = "a code that crosprov does not know; see error_code.h of update_engine"


def explain(code: int) -> str:
    """Word an error code; its flags are taken off first."""
    plain = code & 0xFFFFFFFF & ~FLAGS
    if HTTP <= plain < HTTP + 1000:
        return f"the dev server answered the update request with HTTP status {plain - HTTP}"
    return ERRORS.get(plain, _UNKNOWN)


def shell_function() -> str:
    """Define the shell function `explain CODE`, which prints what `explain` returns."""
    cases = "".join(f"    {code}) echo {shlex.quote(words)};;\n" for code, words in ERRORS.items())
    return (
        "explain() {\n"
        f"  c=$(($1 & {~FLAGS & 0xFFFFFFFF}))\n"
        f"  if [ $c -ge {HTTP} ] && [ $c -lt {HTTP + 1000} ]; then\n"
        '    echo "the dev server answered the update request with HTTP status '
        f'$((c - {HTTP}))"; return\n'
        "  fi\n"
        "  case $c in\n"
        f"{cases}"
        f"    *) echo {shlex.quote(_UNKNOWN)};;\n"
        "  esac\n"
        "}\n"
    )

"""The marks on a host that say which restarts are due.

A file that is configuration leaves a mark before it changes; the operation that restarts takes
the mark away after the restart has succeeded. So no restart is lost when a run ends between.
"""

from __future__ import annotations

import shlex

from crosprov.operations.effects import state_dir


def mark_of(name: str) -> str:
    """Give the path of the mark of a unit, job or container."""
    return f"{state_dir()}/restart/{name}"


def leave(name: str) -> str:
    """Give the commands that make a restart due, ending in ` && `; an older mark stays."""
    mark = shlex.quote(mark_of(name))
    folder = shlex.quote(f"{state_dir()}/restart")
    return f"mkdir -p {folder} && {{ [ -e {mark} ] || echo start > {mark}; }} && "


def clear(name: str) -> str:
    """Give the command that says that a restart is done."""
    return f"rm -f {shlex.quote(mark_of(name))}"

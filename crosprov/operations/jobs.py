"""Upstart jobs, as a DUT has them: running or not, restarted when they are due."""

from __future__ import annotations

import re
import shlex

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.jobs import JobFact, JobState
from crosprov.operations import marks
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

# `start` fails for a job that something else has started in the meantime; that is success.
_FUNCTIONS = """\
start_job() {
  said=$(initctl start "$j" 2>&1) && return 0
  case $said in *'already running'*) return 0;; esac
  printf '%s\\n' "$said" >&2
  return 1
}
in_state() {
  s=$(initctl status "$j" 2>&1); s=${s%%,*}
  [ "${s##* }" = "$1" ] && return 0
  printf '%s\\n' "$s" >&2
  return 1
}"""


@operation
def job(name: str, /, *, running: bool = True, only_due: bool = False) -> Commands:
    """Make an upstart job run, with its configuration as it is now, or be stopped.

    A restart that is due is made by stop and start, because upstart refuses to restart what is
    stopped, and because only a new start reads the job's own file again. With `only_due` a job
    is left as it is unless a restart is due. Raises PlanError for a job that upstart does not
    know, and for a host without upstart.
    """
    if not _NAME.fullmatch(name):
        raise PlanError(f"{name!r} is not the name of an upstart job")
    seen = host.get_fact(JobFact, job=name, mark=marks.mark_of(name))
    due = effects().restart_due(name, marked=seen.due)
    if only_due and not due:
        return
    _refuse(name, seen)
    if not due and (seen.running if running else seen.stopped):
        return
    effects().restart_done(name)
    yield Noted(_script(name, seen, running), _note(name, seen, running, due))


def _refuse(name: str, seen: JobState) -> None:
    if not seen.has_upstart:
        raise PlanError(
            f"{name} is a job of upstart, and the host has no initctl",
            hint="is this host a DUT?",
        )
    if not seen.goal:
        raise PlanError(f"upstart does not know a job {name} on the host")


def _script(name: str, seen: JobState, running: bool) -> str:
    lines = [f"j={shlex.quote(name)}", _FUNCTIONS]
    if not seen.stopped:
        lines.append('initctl stop "$j" || :')
    if running:
        lines.append("start_job || exit 1\nsleep 1; in_state start/running || exit 1")
    else:
        lines.append("in_state stop/waiting || exit 1")
    return "\n".join([*lines, marks.clear(name)])


def _note(name: str, seen: JobState, running: bool, due: bool) -> Note:
    wanted = seen.running if running else seen.stopped
    before: dict[str, str | None] = {} if wanted else {"state": f"{seen.goal}/{seen.state}"}
    after: dict[str, str | None] = {}
    if not wanted:
        after["state"] = "start/running" if running else "stop/waiting"
    if due:
        after["restart"] = "its configuration changed" if running else "not needed: it is stopped"
    return Note(
        "job", name, Action.UPDATE if before else Action.RUN, before=before, after=after,
        restarts=(name,) if due and running else (),
    )  # fmt: skip

"""Ask for an upstart job and for the mark of a restart that is due, in one question."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class JobState:
    """What upstart says of a job: its goal and its state."""

    goal: str = ""  # start, stop; "" for a job that upstart does not know
    state: str = ""  # running, waiting, starting, …
    due: bool = False
    has_upstart: bool = True

    @property
    def running(self) -> bool:
        """Tell whether the job runs and is meant to."""
        return (self.goal, self.state) == ("start", "running")

    @property
    def stopped(self) -> bool:
        """Tell whether nothing of the job runs."""
        return (self.goal, self.state) == ("stop", "waiting")


class JobFact(FactBase[JobState]):
    """Observe a job; `mark` is the path of the mark of a restart that is due."""

    title = "job"

    def command(self, job: str, mark: str) -> str:
        # The process id after the comma differs at each start: it is cut off.
        return (
            "if command -v initctl >/dev/null 2>&1; then "
            f"s=$(initctl status {shlex.quote(job)} 2>&1) || case $s in *'nknown job'*) s=;; "
            '*) echo "$s" >&2; exit 1;; esac; '
            "s=${s%%,*}; printf 'job %s\\n' \"${s##* }\"; else echo no-upstart; fi; "
            f"[ ! -e {shlex.quote(mark)} ] || echo due"
        )

    @staticmethod
    def default() -> JobState:
        return JobState(has_upstart=False)

    def process(self, output: list[str]) -> JobState:
        due = "due" in output
        if output[0] == "no-upstart":
            return JobState(due=due, has_upstart=False)
        goal, _, state = output[0].removeprefix("job ").partition("/")
        return JobState(goal, state, due)

"""The steps of a host: commands that change something there, at any of which a run can be caught.

Programs of these names stand before the real ones in PATH. They count what changes something, and
when a command is the one that shall be caught, they say so and either wait (it has not begun), or
go on at once (it is under way). So a test strikes at a step and never at a time.
"""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass

from tests.lab.labs import Lab, Started, told
from tests.support.waiting import until

FOLDER = "/var/lib/steps"
PROGRAMS = ("docker", "curl", "cp", "mv", "rm")
_PROGRAM = rf"""#!/bin/sh
d={FOLDER} name=${{0##*/}}
words="$name $(printf %s "$*" | tr '\n' ' ')"
[ ! -x $d/stub ] || . $d/stub
changes() {{
  case "$words" in
    'docker '*' inspect '*|'docker '*' ls '*|'docker ps'*|'docker logs'*|'docker version'*) false;;
    'docker info'*|'docker events'*|'docker wait'*|'docker exec'*' -I -c '*) false;;
    'curl '*'-X GET'*) false;;
    'curl '*'-X '*|'curl '*'-F '*) ;;
    'curl '*) false;;
  esac
}}
changes || exec /usr/bin/$name "$@"
n=$(($(cat $d/count) + 1)); echo $n > $d/count; echo "$n $words" >> $d/log
if [ -e $d/catch ]; then
  pattern=$(cat $d/catch)
  case "$n $words" in
    $pattern)
      [ ! -e $d/caught ] || exec /usr/bin/$name "$@"
      : > $d/caught
      while [ -e $d/wait ]; do sleep 0.05; done;;
  esac
fi
exec /usr/bin/$name "$@"
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A step at which a run is killed.

    `pattern` is one of the shell's `case`, over the number of the command since the beginning of
    the run and the command itself. `is_begun` says whether the command is let go on; `with_shell`
    whether what works on the host is killed as well.
    """

    pattern: str
    is_begun: bool = False
    with_shell: bool = True


class Steps:
    """The steps of one host of a lab."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._lab = lab
        self._host = host
        self._folder = lab.twin.upper(host) / FOLDER.strip("/")
        places = " ".join(f"/usr/local/sbin/{name}" for name in PROGRAMS)
        self._must(
            f"mkdir {FOLDER} && for p in {places}; do printf %s {shlex.quote(_PROGRAM)} > $p && "
            "chmod 755 $p || exit; done"
        )
        self.release()

    def catch(self, step: Step) -> None:
        """Have the next command that is this step say so."""
        wait = "" if step.is_begun else f": > {FOLDER}/wait; "
        self._must(f"{wait}printf %s {shlex.quote(step.pattern)} > {FOLDER}/catch")

    def release(self) -> None:
        """Let what is held go on, and catch nothing more; counting begins anew."""
        self._must(
            f"cd {FOLDER} && /usr/bin/rm -f wait catch caught stub && : > log && echo 0 > count"
        )

    def kill(self, step: Step, run: Started) -> bool:
        """Kill a run of crosprov at a step; False when it ended before it came to it."""
        until(lambda: self._is_caught() or run.process.poll() is not None, within=120)
        caught = self._is_caught()
        run.signal(signal.SIGKILL)
        done = run.end(within=20)
        if not caught:
            assert done.returncode == 0, told(done)
            return False
        if step.with_shell:
            self._kill_shell()
        self.release()
        return True

    def _kill_shell(self) -> None:
        """Kill what works for crosprov on the host: shells that read a script, and theirs."""
        running = self._lab.processes(self._host)
        sessions = {found.session for found in running if found.command == "sh -s"}
        for found in running:
            if found.session in sessions:
                found.kill()

    def _is_caught(self) -> bool:
        return (self._folder / "caught").exists()

    def _must(self, command: str) -> str:
        return self._lab.must(self._host, command)

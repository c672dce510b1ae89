"""A mirror's host for the mirror's program here: its folder, and its own program there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from crosprov.errors import HostError
from crosprov.execution.fleet import Fleet
from crosprov.host_folder import HostFolder
from crosprov.inventory.lab import Lab
from crosprov.last_words import LAST_WORDS, taken_apart
from crosprov.mirror.hosts import Done
from crosprov.mirror.model import Fault
from crosprov.mirror.stores import Unavailable
from crosprov.session import Session, connect
from crosprov.transport.base import Completed, Sink, SshTarget, Transport
from crosprov.transport.lines import Lines

ACCOUNT = "crosprov-mirror"
ENVIRONMENTS = "/usr/lib/crosprov/mirror"
CONFIGURATIONS = "/etc/crosprov/mirrors"
STATES = "/var/lib/crosprov-mirror"
_LONG = 7 * 86_400.0  # seconds: to read a whole mirror takes days where it is large
_NONE = 41  # exit status: the program is not there

_PROGRAM = """\
set -- {environments}/*/bin/python
[ -x "$1" ] && [ -r {configuration} ] || exit {none}
exec runuser -u {account} -- "$1" -IB -m crosprov.mirror {words}
"""

# Who starts a service waits for its end, also of one that was under way. How far it is goes out
# once a second, so that the script's other half ends when nobody listens any more.
_SYNC = """\
u={unit}
systemctl cat "$u" >/dev/null 2>&1 || exit {none}
case $(systemctl show -P ActiveState "$u") in
activating|reloading|deactivating) echo joined >&2 ;;
*) rm -f {progress}; echo begun >&2 ;;
esac
{{ while sleep 1; do echo "at $(cat {progress} 2>/dev/null)" || exit; done; }} >&2 &
follower=$!
said=$(systemctl start "$u" 2>&1)
code=$?
kill "$follower" 2>/dev/null || :
[ "$code" != 0 ] || exit 0
[ "$(systemctl show -P ActiveState "$u")" = failed ] || {{
  echo "error: ${{said:-it was not started}}"
  exit 1
}}
last_words "$u"
exit 1
"""


class ReachedHost:
    """The host that serves a mirror, connected to when it is first needed."""

    def __init__(
        self, mirror: str, folder: str, target: SshTarget, fleet: Fleet, *, syncs: bool
    ) -> None:
        self.name = target.name
        self.syncs = syncs
        self._mirror = mirror
        self._folder = folder
        self._target = target
        self._fleet = fleet

    def open(self) -> HostFolder:
        """Open the mirror's folder."""
        return HostFolder(self.name, self._folder, self._transport())

    def run(self, words: Sequence[str], say: Callable[[str], object]) -> Done:
        """Run a command of the mirror's program as the account of its syncs."""
        configuration = f"{CONFIGURATIONS}/{self._mirror}.json"
        script = _PROGRAM.format(
            environments=ENVIRONMENTS,
            configuration=shlex.quote(configuration),
            none=_NONE,
            account=ACCOUNT,
            words=shlex.join([words[0], "--config", configuration, *words[1:]]),
        )
        lines = Lines(lambda line: say(line.decode("utf-8", "replace")))
        done = self._run(script, lines)
        lines.end()
        if done.status == _NONE:
            raise self._no_program()
        return Done(done.status, done.stdout.decode("utf-8", "replace"))

    def sync(self, begun: Callable[[bool], object], told: Callable[[str], object]) -> None:
        """Start the mirror's service, or join a sync that is under way, to its end."""
        service = f"crosprov-mirror@{self._mirror}.service"
        script = LAST_WORDS + _SYNC.format(
            unit=shlex.quote(service),
            progress=shlex.quote(f"{STATES}/{self._mirror}/progress"),
            none=_NONE,
        )

        def heard(line: bytes) -> None:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word in ("begun", "joined"):
                begun(word == "joined")
            elif word == "at":
                told(rest)

        done = self._run(script, Lines(heard))
        if done.status == _NONE:
            raise self._no_program()
        if done.status:
            said = (done.stdout or done.stderr).decode("utf-8", "replace").strip()
            reason, hint = taken_apart(said) or (said.rpartition("\n")[2] or "no reason", None)
            where = f"`journalctl -u {service}` on {self.name} tells all"
            raise Fault(
                f"the sync of {self._mirror} on {self.name} failed: {reason}",
                hint=f"{hint}; {where}" if hint else where,
            )

    def _no_program(self) -> Fault:
        return Fault(
            f"{self.name} has no program for the mirror {self._mirror} yet",
            hint="crosprov apply brings it",
        )

    def _run(self, script: str, on_stderr: Sink | None = None) -> Completed:
        try:
            return self._transport().run(script, timeout=_LONG, on_stderr=on_stderr)
        except HostError as error:
            raise Unavailable(str(error), hint=error.hint) from None

    def _transport(self) -> Transport:
        try:
            return self._fleet.transport(self._target)
        except HostError as error:
            raise Unavailable(str(error), hint=error.hint) from None


@contextmanager
def reached(
    lab: Lab, host: str, mirror: str, folder: str, *, syncs: bool, twin: bool = False
) -> Iterator[tuple[ReachedHost, str]]:
    """Give the host that serves a mirror, for a block, and its address from here.

    With `twin` it is the one of the lab's virtual twin. Raises TwinError when that is not up.
    """
    session = Session(lab, [host])
    if twin:
        from crosprov.twinning import twin_of

        session.reach = twin_of(lab).target
    target = session.scope.subjects[host].target
    with Fleet(connect) as fleet:
        address = target.host if twin else lab.hosts[host].address
        yield ReachedHost(mirror, folder, target, fleet, syncs=syncs), address

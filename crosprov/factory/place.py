"""A factory server's data on its host: scripts that run there under the lock, and what they say.

A script speaks in lines of stderr that begin with a random mark, because its stdout may be a
whole archive.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crosprov.errors import HostBusy, HostError, HostSilent
from crosprov.facts.factory_versions import VERSION_FUNCTIONS
from crosprov.planning.batch import PRELUDE
from crosprov.planning.lock import TAKE, busy
from crosprov.transport.base import Sink, Transport
from crosprov.transport.lines import Lines

LIMIT = 7 * 24 * 3600.0  # seconds; a connection that is dead is noticed by other means
RESTORING = ".restoring"
ASIDE = ".before-restore-"

_OPENING = """\
umask 022
trap '' PIPE HUP
say() { printf '\\n%s %s\\n' "$m" "$*" >&2; }
fail() { say failed "$1"; say hint "$2"; exit 1; }
known() { case $1 in -* | *-) ;; *) printf %s "$1";; esac; }  # what is a whole version
state_of() { docker container inspect -f '{{.State.Status}}' "$1" 2>/dev/null; }
"""

_BEGIN = """\
{ mkdir -p "$S" && chmod 700 "$S"; } ||
  fail "the records in $S cannot be written" 'log in as root, or set ssh.sudo: true'
take || fail "the records in $S cannot be written" 'is the disk full or read-only?'
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A factory server as backup and restore see it: its host, its folders, its ports.

    It is connected to when it is first asked, which is after all that can be known here.
    """

    host: str
    connect: Callable[[], Transport]
    shared_dir: str
    script: str
    image: str
    dome_port: int
    state_dir: str
    by: str

    def run(
        self,
        body: str,
        given: Mapping[str, str],
        *,
        stdin: bytes = b"",
        on_stdout: Sink | None = None,
        on_said: Sink | None = None,
    ) -> Said:
        """Run a script under the host's lock, with `given` as its variables.

        Raises HostBusy when another run is at work, HostError with the script's own sentence
        when it fails, and what the transport raises.
        """
        mark = f"@crosprov-{secrets.token_hex(16)}"
        variables = {
            "m": mark, "S": self.state_dir, "D": self.shared_dir, "I": self.image,
            "SCRIPT": self.script, "PORT": str(self.dome_port), **given,
        }  # fmt: skip
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        take = TAKE.format(who=shlex.quote(self.by))
        opening = _OPENING + VERSION_FUNCTIONS
        text = "".join((PRELUDE, *lines, opening, take, _BEGIN, body, "\nsay end\n"))
        done = self.connect().run(
            f"exec sh -c {shlex.quote(text)}", stdin=stdin, timeout=LIMIT,
            on_stdout=on_stdout, on_stderr=on_said and _marked(mark, on_said),
        )  # fmt: skip
        return self._judge(Said.of(done.stderr, mark), done.status)

    def _judge(self, said: Said, status: int) -> Said:
        if held := said.first("busy"):
            raise HostBusy(
                self.host,
                busy(self.host, held.split(" ", 3)[-1], self.by),
                hint="wait for it to end, then try again",
            )
        if failed := said.first("failed"):
            raise HostError(self.host, failed, hint=said.first("hint") or None)
        if "end" not in said.words:
            raise HostSilent(
                self.host, f"the connection ended early (status {status})",
                hint="try again: it starts from what is there",
            )  # fmt: skip
        return said


@dataclass(frozen=True, slots=True)
class Said:
    """What a script said: all that followed each word, in order."""

    words: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, stderr: bytes, mark: str) -> Said:
        """Take the marked lines out of an output."""
        words: dict[str, tuple[str, ...]] = {}
        for line in stderr.decode("utf-8", "replace").splitlines():
            if line.startswith(f"{mark} "):
                word, _, text = line[len(mark) + 1 :].partition(" ")
                words[word] = (*words.get(word, ()), text)
        return cls(words)

    def first(self, word: str) -> str:
        """Give what followed a word first, "" when it was not said."""
        return self.words.get(word, ("",))[0]

    def all(self, word: str) -> tuple[str, ...]:
        """Give all that followed a word."""
        return self.words.get(word, ())


def _marked(mark: str, sink: Sink) -> Sink:
    """Give what passes on marked lines as they come, without their mark."""
    start = f"{mark} ".encode()

    def hear(line: bytes) -> None:
        if line.startswith(start):
            sink(line.removeprefix(start))

    return Lines(hear)

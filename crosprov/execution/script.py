"""Write the scripts that carry a plan out on its host: one, and one more after each reboot.

A script is a function that is called in its last line, so that a script that arrives only in
part does nothing. It speaks on stdout in lines that begin with a random marker; what commands
print goes into a private file on the host and is sent only when one fails. So a connection that
goes away cannot break a command in its middle: the script ends at the next change. That file has
no name once it is open, so nothing of it stays behind however the script ends.
"""

from __future__ import annotations

import base64
import json
import math
import secrets
import shlex
from dataclasses import dataclass, field

from crosprov.execution.parts import Part, Piece, parts
from crosprov.planning.batch import PRELUDE
from crosprov.planning.lock import TAKE
from crosprov.planning.plan import HostPlan, Reboot, Send, Shell, Step, Write
from crosprov.secrets import Vault

SHOWN_OUTPUT = 20_000  # bytes of a failed command's output that are sent
_OUTPUT = "/proc/self/fd/3"
_KEPT_BEFORE = 200  # files in the store of before-images

# A command that could not even say why it failed may have met a full disk, as the file does.
_SHOW = f"""\
[ -s {_OUTPUT} ] || echo | cat >&3
tail -c {SHOWN_OUTPUT} {_OUTPUT} >&2
"""

_OPENING = """\
umask 022
S={state}
trap '' PIPE HUP
say() {{ printf '\\n%s %s\\n' "$m" "$*" || exit 9; }}
write() {{ ( umask 077; base64 -d > "$1" ); }}
journal() {{ printf '{{"at":"%s",%s}}\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >> "$S/journal"; }}
"""

# Progress goes past the output's file, straight to the connection (4). What a program writes to
# 9 passes through `relay`, which never ends before the program: it cannot meet a broken pipe.
# Within `with_progress`, 4 is that pipe as well, so that nothing else holds the connection.
_PROGRESS = """\
progress() { { printf '\\n%s progress %s\\n' "$m" "$*" >&4; } 2>/dev/null || :; }
listened() { { printf '\\n' >&4; } 2>/dev/null; }
relay() (
  t= n=0 k=
  while IFS= read -r l; do
    l=${l#"$m progress "}
    case $l in
      '') continue;;
      "$m end "*) [ -z "$k" ] || progress "$k"; exit "${l##* }";;
    esac
    read -r u _ < /proc/uptime
    [ "${u%.*}" = "$t" ] || { t=${u%.*}; n=0; }
    n=$((n + 1)); k=$l
    [ $n -gt 5 ] || { progress "$l"; k=; }
  done
  exit 1
)
with_progress() {
  { { ( "$@" ) 9>&1 4>&1 >&5 5>&-; printf '\\n%s end %s\\n' "$m" $?; } | relay; } 5>&1
}
"""

_BEGIN = """\
apply() {
if ! {
  mkdir -p "$S" && chmod 700 "$S"
}; then say refused; exit 0; fi
take || { say refused; exit 0; }
rm -f "$S/output" && ( umask 077; : > "$S/output" ) || { say refused; exit 0; }
exec 3>>"$S/output" && rm -f "$S/output"
exec 4>&1
"""

# A run that failed leaves no large file behind either: the next one sends what it needs.
_RECEIVED_GOES = 'rm -rf "$S/incoming"\n'
_TIDY = f"""\
if [ -d "$S/before" ]; then
  ls -1t "$S/before" | tail -n +{_KEPT_BEFORE + 1} | while read -r f; do rm -f "$S/before/$f"; done
fi
{_RECEIVED_GOES}say end
"""

_CALL = """\
}
apply
exit 0
"""

_REBOOT = """\
if command -v reboot >/dev/null 2>&1; then reboot; else shutdown -r now; fi
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A host's plan as scripts, with the marker of what they say."""

    plan: HostPlan
    who: str = field(metadata={"doc": "user@controller, for the journal and the lock"})
    run: str = field(metadata={"doc": "an id of this run"})
    marker: str = field(default_factory=lambda: f"@crosprov-{secrets.token_hex(16)}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Give what each of the scripts carries out."""
        return parts(self.plan)

    def text(self, vault: Vault, number: int = 0) -> bytes:
        """Give the script of a part, with secrets in place: only ever to be sent through stdin."""
        part = self.parts[number]
        text = [
            PRELUDE,
            f"m={self.marker}\n",
            _OPENING.format(state=shlex.quote(self.plan.state_dir)),
            _PROGRESS,
            TAKE.format(who=shlex.quote(self.who)),
            _BEGIN,
            f"journal {self._entry(part.pieces[0], 'rebooted')}\n" if number else "",
            *(self._piece(piece, vault) for piece in part.pieces),
            self._reboot(part.pieces[-1], part.reboot) if part.reboot else _TIDY,
            _CALL,
        ]
        return "".join(text).encode("utf-8", "surrogateescape")

    def _piece(self, piece: Piece, vault: Vault) -> str:
        steps = "".join(self._step(step, vault) for step in piece.steps) or ":\n"
        begin = f"say begin {piece.number}\n" if piece.begins else ""
        end = f"journal {self._entry(piece, 'done')}\n" if piece.ends else ""
        done = f"say done {piece.number}\n" if piece.ends else ""
        return (
            f"{begin}(\n{steps}) >&3 2>&1 </dev/null\n{self._unless_failed(piece)}"
            f"{end}: > {_OUTPUT}\n{done}"
        )

    def _unless_failed(self, piece: Piece) -> str:
        undo = piece.change.undo
        tidy = f"( {undo}\n) </dev/null >/dev/null 2>&1 4>&-\n" if undo else ""
        return (
            f"r=$?\nif [ $r -ne 0 ]; then\n{tidy}{_RECEIVED_GOES}"
            f"journal {self._entry(piece, 'failed')}\n"
            f"{_SHOW}say failed {piece.number} $r\nexit 0\nfi\n"
        )

    def _reboot(self, piece: Piece, reboot: Reboot) -> str:
        """Reboot the host if somebody still listens, and keep the lock until it is down."""
        return (
            f"b=$(boot_id)\njournal {self._entry(piece, 'reboots')}\nsay reboot $b\n"
            f"(\n{_REBOOT}) >&3 2>&1 </dev/null 4>&-\n{self._unless_failed(piece)}"
            f"n=0; while [ $n -lt {math.ceil(reboot.within)} ]; do sleep 1; n=$((n + 1)); done\n"
        )

    def _step(self, step: Step, vault: Vault) -> str:
        match step:
            case Shell():
                # A daemon that a command leaves behind must not hold the connection.
                connection = "" if step.reports else " 4>&-"
                return f"(\n{step.command}\n){connection} || exit $?\n"
            case Write():
                body = base64.encodebytes(vault.reveal(step.content)).decode()
                word = f"{self.marker}-end"
                return f"write {shlex.quote(step.path)} <<'{word}' || exit $?\n{body}{word}\n"
            case Send():
                incoming = f'"$S/incoming/{step.sha256}"'
                return f"cat {incoming} > {shlex.quote(step.path)} || exit $?\n"
            case Reboot():
                raise ValueError("a reboot ends a part and is no step within one")

    def _entry(self, piece: Piece, result: str) -> str:
        """Quote a line of the journal without its braces and time."""
        change = piece.change
        entry = {
            "by": self.who,
            "run": self.run,
            "resource": str(change.resource),
            "action": change.action.value,
            "result": result,
            **({"before": change.kept} if change.kept and "reboot" not in result else {}),
        }
        return shlex.quote(json.dumps(entry, separators=(",", ":"))[1:-1])


def sends(plan: HostPlan) -> tuple[Send, ...]:
    """List the large files that a plan streams to its host, each content once."""
    found = {s.sha256: s for c in plan.changes for s in c.steps if isinstance(s, Send)}
    return tuple(found.values())


def receive(send: Send, state_dir: str) -> str:
    """Give the shell command that takes a large file from stdin, whole or not at all.

    It has another name until it is whole, so what a killed run leaves is never taken for it.
    """
    folder = shlex.quote(f"{state_dir}/incoming")
    place = shlex.quote(f"{state_dir}/incoming/{send.sha256}")
    script = (
        f"umask 077; mkdir -p {folder} && cat > {place}.part && "
        f'h=$(sha256sum < {place}.part) && [ "${{h%% *}}" = {send.sha256} ] && '
        f"mv {place}.part {place}"
    )
    return f"sh -c {shlex.quote(script)}"

"""Write the one script that carries a plan out on its host.

The script is a function that is called in its last line, so that a script that arrives only in
part does nothing. It speaks on stdout in lines that begin with a random marker; what commands
print goes into a private file on the host and is sent only when one fails. So a connection that
goes away cannot break a command in its middle: the script ends at the next change. That file has
no name once it is open, so nothing of it stays behind however the script ends.
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
from dataclasses import dataclass, field

from crosprov.planning.batch import PRELUDE
from crosprov.planning.lock import TAKE
from crosprov.planning.plan import Change, HostPlan, Send, Shell, Step, Write
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

_BEGIN = """\
apply() {
if ! {
  mkdir -p "$S" && chmod 700 "$S"
}; then say refused; exit 0; fi
take || { say refused; exit 0; }
rm -f "$S/output" && ( umask 077; : > "$S/output" ) || { say refused; exit 0; }
exec 3>>"$S/output" && rm -f "$S/output"
"""

_END = f"""\
if [ -d "$S/before" ]; then
  ls -1t "$S/before" | tail -n +{_KEPT_BEFORE + 1} | while read -r f; do rm -f "$S/before/$f"; done
fi
rm -rf "$S/incoming"
say end
}}
apply
exit 0
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A host's plan as a script, with the marker of what it says."""

    plan: HostPlan
    who: str = field(metadata={"doc": "user@controller, for the journal and the lock"})
    run: str = field(metadata={"doc": "an id of this run"})
    marker: str = field(default_factory=lambda: f"@crosprov-{secrets.token_hex(16)}")

    def text(self, vault: Vault) -> bytes:
        """Give the script, with secrets in place: it must only ever be sent through stdin."""
        state = shlex.quote(self.plan.state_dir)
        parts = [
            PRELUDE,
            f"m={self.marker}\n",
            _OPENING.format(state=state),
            TAKE.format(who=shlex.quote(self.who)),
            _BEGIN,
            *(self._change(number, c, vault) for number, c in enumerate(self.plan.changes)),
            _END,
        ]
        return "".join(parts).encode("utf-8", "surrogateescape")

    def _change(self, number: int, change: Change, vault: Vault) -> str:
        steps = "".join(self._step(step, vault) for step in change.steps)
        undo = f"( {change.undo}\n) </dev/null >/dev/null 2>&1\n" if change.undo else ""
        return (
            f"say begin {number}\n(\n{steps}) >&3 2>&1 </dev/null\nr=$?\n"
            f"if [ $r -ne 0 ]; then\n{undo}journal {self._entry(change, 'failed')}\n"
            f"{_SHOW}"
            f"say failed {number} $r\nexit 0\nfi\n"
            f"journal {self._entry(change, 'done')}\n: > {_OUTPUT}\nsay done {number}\n"
        )

    def _step(self, step: Step, vault: Vault) -> str:
        match step:
            case Shell():
                return f"(\n{step.command}\n) || exit $?\n"
            case Write():
                body = base64.encodebytes(vault.reveal(step.content)).decode()
                word = f"{self.marker}-end"
                return f"write {shlex.quote(step.path)} <<'{word}' || exit $?\n{body}{word}\n"
            case Send():
                incoming = f'"$S/incoming/{step.sha256}"'
                return f"cat {incoming} > {shlex.quote(step.path)} || exit $?\n"

    def _entry(self, change: Change, result: str) -> str:
        """Quote a line of the journal without its braces and time."""
        entry = {
            "by": self.who,
            "run": self.run,
            "resource": str(change.resource),
            "action": change.action.value,
            "result": result,
            **({"before": change.kept} if change.kept else {}),
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

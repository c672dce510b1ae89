"""Ask a host many questions with one script, and take the answers apart.

Every answer is framed by lines that hold 128 random bits, on stdout and on stderr alike. The
bits are drawn when the script is made, so nothing on the host can have them in its output, and
no temporary file is needed: asking writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosprov.planning.plan import digest_of

PRELUDE = """\
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one command's exit status and outputs, as bytes."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def digest(self) -> str:
        """Digest status and stdout; stderr may hold times and process ids."""
        return digest_of([self.status, self.stdout.decode("latin-1")])


Answers = Mapping[str, Answer]


class BatchCut(Exception):
    """The outputs end before the last answer; `asked` is the command that was under way."""

    def __init__(self, asked: str | None) -> None:
        super().__init__("the host's answer is cut off")
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands that are asked together, with the marker that frames their answers."""

    commands: tuple[str, ...]
    marker: str

    @classmethod
    def of(cls, commands: Iterable[str]) -> Batch:
        """Make a batch of the distinct commands, in order, with a marker of its own."""
        return cls(tuple(dict.fromkeys(commands)), f"@crosprov-{secrets.token_hex(16)}")

    @property
    def script(self) -> bytes:
        """Give the POSIX shell script that asks everything.

        It is one function that is called in the last line: a script that arrives only in part
        asks nothing at all. The answers are gathered into few large packets, because each one
        wakes up both ends.
        """
        lines = [PRELUDE + f"m='\n{self.marker}'", "ask() {"]
        for number, command in enumerate(self.commands):
            lines.append(f'printf "%s %s\\n" "$m" {number}; printf "%s %s\\n" "$m" {number} >&2')
            lines.append(f"(\n{command}\n) </dev/null")
            lines.append('printf "%s = %s\\n" "$m" $?')
        lines += [
            'printf "%s end\\n" "$m"; printf "%s end\\n" "$m" >&2',
            "}",
            "ask | dd obs=65536 2>/dev/null",
            "exit 0",
            "",
        ]
        return "\n".join(lines).encode("utf-8", "surrogateescape")

    def read(self, stdout: bytes, stderr: bytes) -> dict[str, Answer]:
        """Take the answers out of the two outputs.

        Raises BatchCut when the end is missing. What a login shell prints before is ignored.
        """
        outs = self._frames(stdout)
        errs = self._frames(stderr)
        answers = {}
        for number, command in enumerate(self.commands):
            label = str(number)
            if label not in outs or (status := outs.get(f"= {label}")) is None:
                raise BatchCut(command if label in outs or number == 0 else None)
            answers[command] = Answer(int(status), outs[label], errs.get(label, b""))
        if "end" not in outs:
            raise BatchCut(None)
        return answers

    def _frames(self, output: bytes) -> dict[str, bytes]:
        """Map each label to the bytes that follow it; `= N` to the status of command N."""
        frames: dict[str, bytes] = {}
        last = ""
        for piece in output.split(f"\n{self.marker} ".encode())[1:]:
            head, newline, body = piece.partition(b"\n")
            label = head.decode("ascii", "replace")
            if not newline:
                break  # cut inside of the marker's own line
            if label.startswith("= "):
                frames[f"= {last}"] = label[2:].encode()
            else:
                last = label
                frames[label] = body
        return frames

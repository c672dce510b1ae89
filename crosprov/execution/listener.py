"""Follow what the script on a host says, line by line, as it says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crosprov.execution.events import ChangeDone, ChangeProgress, ChangeStarted, Emit
from crosprov.execution.script import Script
from crosprov.planning.plan import Change
from crosprov.secrets import Vault

_LONGEST_TEXT = 160  # characters of a line of progress


@dataclass(slots=True)
class Listener:
    """Turn the lines of one part's script into events, and remember how it ended.

    `done` counts the changes of the whole plan. `on_reboot` is called as soon as the host
    begins to reboot.
    """

    script: Script
    emit: Emit
    vault: Vault
    on_reboot: Callable[[], None] = lambda: None
    done: int = 0
    current: Change | None = None
    failed: tuple[Change, int] | None = None
    busy: str | None = None
    boot_id: str | None = None  # of the boot that ends, once the host was told to reboot
    refused: bool = False
    ended: bool = False
    _rest: bytes = b""

    def feed(self, output: bytes) -> None:
        """Take output in as it comes, in pieces of any size."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            words = line.decode("utf-8", "replace").split(" ", 2)
            if words[0] == self.script.marker:
                self._hear(words[1], words[2] if len(words) > 2 else "")

    @property
    def goes_down(self) -> bool:
        """Tell whether the host reboots, as it was told."""
        return self.boot_id is not None and self.failed is None

    def _hear(self, word: str, rest: str) -> None:
        plan = self.script.plan
        total = len(plan.changes)
        match word:
            case "begin":
                self.current = plan.changes[int(rest)]
                self.emit(ChangeStarted(plan.host, self.current, int(rest) + 1, total))
            case "progress":
                self._progress(rest)
            case "done":
                change = plan.changes[int(rest)]
                self.done += 1
                self.emit(ChangeDone(plan.host, change, int(rest) + 1, total))
            case "failed":
                number, status = rest.split()
                self.failed = plan.changes[int(number)], int(status)
            case "reboot":
                self.boot_id = rest
                self.on_reboot()
            case "busy":
                self.busy = rest.split(" ", 3)[-1]
            case "refused":
                self.refused = True
            case "end":
                self.ended = True

    def _progress(self, said: str) -> None:
        text = plain(self.vault.mask(said))
        if self.current is not None and text:
            self.emit(ChangeProgress(self.script.plan.host, self.current, text))


def plain(said: str) -> str:
    """Make one short line of what a program said: no control characters, blanks once."""
    printable = (character if character.isprintable() else " " for character in said)
    text = " ".join("".join(printable).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"

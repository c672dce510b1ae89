"""Let an operation reboot its host in the middle of its commands."""

from __future__ import annotations

from pyinfra.api import StringCommand

from crosprov.operations.note import Note

_WITHIN = 300.0  # seconds
# In pyinfra's own program the command must end before the host does.
_PLAIN = "( sleep 1; reboot ) </dev/null >/dev/null 2>&1 &"


class RebootCommand(StringCommand):
    """A reboot: a step of its own to crosprov, a plain shell command to pyinfra's program."""

    def __init__(self, within: float, ask: bool, note: Note | None) -> None:
        super().__init__(_PLAIN)
        self.within = within
        self.ask = ask
        self.note = note


def reboot(*, within: float = _WITHIN, ask: bool = True, note: Note | None = None) -> RebootCommand:
    """Give the command of an operation that reboots the host and waits until it is back.

    What an operation yields after it is carried out by the new boot, over a new connection.
    The host must be back `within` so many seconds. `ask` has a person asked for the reboot
    apart from the plan. A change that begins with its reboot has its `note` here.
    """
    return RebootCommand(within, ask, note)

"""The host of a mirror's folder, as another machine reaches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from crosprov.mirror.stores import Store


class Reader(NamedTuple):
    """Somebody who may read a private mirror over HTTP."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Reader({self.name!r})"


class Done(NamedTuple):
    """What a program left: its exit status and what it printed."""

    status: int
    text: str


class MirrorHost(Protocol):
    """Do on a mirror's host what cannot be done from afar. All methods raise Fault.

    `syncs` says that the host syncs the mirror, and so has the mirror's program.
    """

    name: str
    syncs: bool

    def open(self) -> Store:
        """Open the mirror's folder."""
        ...

    def run(self, words: Sequence[str], say: Callable[[str], object]) -> Done:
        """Run a command of the mirror's program; what it says on the way is given to `say`."""
        ...

    def sync(self, begun: Callable[[bool], object], told: Callable[[str], object]) -> None:
        """Have the mirror's service sync it, and wait for its end.

        `begun` is called when it is under way, with True when it was before. `told` is given how
        far it is, about once a second.
        """
        ...

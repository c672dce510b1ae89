"""The names of everything that a lab makes on this machine.

All follow from the lab's id, so that what a killed run left can be found and removed
without any record of it. The kernel allows 15 characters for a network interface.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Names:
    """Derive names from the lab's id (six hex digits)."""

    id: str

    @classmethod
    def of(cls, state_dir: Path) -> Names:
        """Name the lab that lives in a state directory; another directory is another lab."""
        return cls(short_hash(str(state_dir.resolve())))

    @property
    def bridge(self) -> str:
        """The bridge by which this machine reaches the twins."""
        return f"ct{self.id}b"

    @property
    def switch(self) -> str:
        """The namespace whose bridge connects the twins to each other."""
        return f"ct{self.id}-switch"

    @property
    def comment(self) -> str:
        """The mark on firewall rules."""
        return f"crosprov-twin-{self.id}"

    def namespace(self, number: int) -> str:
        return f"ct{self.id}-{number}"

    def link(self, number: int) -> str:
        """This machine's end of a twin's management link."""
        return f"ct{self.id}m{number}"

    def machine(self, number: int) -> str:
        """The container's name, for nspawn and for its control group."""
        return f"ct{self.id}-{number}"

    def hardware(self, network: int, number: int) -> str:
        """A network card's address: after a power cycle the same, as neighbours remember it."""
        octets = (2, *bytes.fromhex(self.id), network, number)
        return ":".join(f"{octet:02x}" for octet in octets)

    def owns(self, name: str) -> bool:
        """Tell whether a bridge, link, namespace or control group is of this lab."""
        return re.fullmatch(rf"ct{self.id}(b|m\d+|-\d+|-switch)", name) is not None


def short_hash(text: str) -> str:
    """Return six hex digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]

"""Ask apt whether it has the lists of a repository."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pyinfra.api import FactBase

# What apt writes as %xx in the name of a list: QuoteString in URItoFileName of apt.
_QUOTED = r'\|{}[]<>"^~_=!@#$%^&*'


def list_names(url: str, suite: str, components: Sequence[str]) -> tuple[str, ...]:
    """Give how the names of the lists begin that apt keeps of a repository."""
    place = url.partition("://")[2].rpartition("@")[2].strip("/")
    quoted = "".join(
        f"%{ord(sign):02x}" if sign in _QUOTED else sign
        for sign in f"{place}/dists/{suite}"
    )  # fmt: skip
    start = quoted.replace("/", "_")
    return tuple(f"{start}_{component}_binary-" for component in components)


class AptListsFact(FactBase[bool]):
    """Tell whether apt has lists whose names begin in each of some ways."""

    title = "lists of apt"

    def command(self, source: str, names: Sequence[str]) -> str:
        """Give the command; `source` is for the words of the question."""
        return (
            "lists=/var/lib/apt/lists/; ! command -v apt-config >/dev/null 2>&1 || "
            'eval "$(apt-config shell lists Dir::State::lists/d)"; '
            + "".join(
                f'set -- "$lists"{shlex.quote(name)}*; [ -e "$1" ] || echo lacks; '
                for name in names
            )
            + "echo asked"
        )

    @staticmethod
    def default() -> bool:
        return False

    def process(self, output: list[str]) -> bool:
        return output == ["asked"]

"""Ask for all that stands in a folder, with the digests of its files, in one question."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands at a path: its letter (f, d, l, …), mode, owner, digest or target."""

    sort: str
    mode: str
    owner: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TreeState:
    """What was observed of a tree: all of it, or that it is as expected."""

    same: bool = False
    entries: Mapping[str, Standing] = field(default_factory=dict)


class TreeFact(FactBase[TreeState]):
    """Observe a tree; `expect` digests what makes its entries uninteresting.

    Records end with NUL, because a name may hold everything else.
    """

    title = "tree"

    def command(self, root: str, expect: str) -> str:
        parent, _, name = root.rpartition("/")
        place = shlex.quote(f"./{name}")
        skip = len(f"./{name}".encode())
        return (
            f"cd {shlex.quote(parent or '/')} 2>/dev/null || exit 0; "
            f"[ -e {place} ] || [ -L {place} ] || exit 0; "
            f"records() {{ {{ find {place} -printf '%y %m %u:%g %P\\0' "
            f"-type l -printf '> %P\\t%l\\0'; "
            f"find {place} -type f -print0 | xargs -0r sha256sum -z | "
            f"LC_ALL=C sed -z 's/^\\(.\\{{64\\}}  \\).\\{{{skip}\\}}\\/\\{{0,1\\}}/\\1/'; }} "
            "| LC_ALL=C sort -z; }; "
            f'if [ "$(records | sha256sum | cut -c 1-64)" = {expect} ]; then echo same; '
            "else echo differs; records | base64; fi"
        )

    @staticmethod
    def default() -> TreeState:
        return TreeState()

    def process(self, output: list[str]) -> TreeState:
        if output[0] == "same":
            return TreeState(same=True)
        return TreeState(entries=_entries(base64.b64decode("".join(output[1:]))))


@lru_cache(maxsize=4)  # a tree asks once for each change that it may make
def _entries(listed: bytes) -> Mapping[str, Standing]:
    found: dict[str, list[str]] = {}
    details: dict[str, str] = {}
    for record in listed.decode("utf-8", "surrogateescape").split("\0"):
        if record.startswith("> "):
            path, _, details_of = record[2:].partition("\t")
            details[path] = details_of
        elif record[1:2] == " ":
            sort, mode, owner, path = record.split(" ", 3)
            found[path] = [sort, mode, owner]
        elif record:
            details[record[66:]] = record[:64]
    return {
        path: Standing(sort, mode, owner, details.get(path, ""))
        for path, (sort, mode, owner) in found.items()
    }

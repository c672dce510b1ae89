"""The memory of ebuilds that were sourced: what they said, as long as nothing that matters changes.

What an ebuild says follows from its file, the eclasses that it inherits and the program that
sources it; Portage's own cache relies on the same. Each answer is kept with the digests of these.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crosprov.mirror import memory
from crosprov.mirror.contents import Contents
from crosprov.mirror.metadata import Metadata
from crosprov.mirror.sightings import sight
from crosprov.mirror.sourcing import Wanted, program

FILE = "sourced.json"
EVERY = 5.0  # seconds from one writing to the next while ebuilds are sourced
LARGEST = 64 << 20  # characters of all answers; 1,100 ebuilds of a real tree took half a million


class Entry(NamedTuple):
    """Hold what an ebuild said, with the digests of its file and of the eclasses it inherits."""

    ebuild: str
    eclasses: str
    metadata: Metadata

    @property
    def size(self) -> int:
        """Count the characters that are the ebuild's own; texts of eclasses are shared."""
        return len(self.ebuild) + sum(map(len, self.metadata))


class SourcedMemory:
    """Remember answers in a mirror's state folder, or with `read_only` only ask what is known."""

    def __init__(self, state: Path, *, read_only: bool = False) -> None:
        self._path = state / FILE
        self._read_only = read_only
        self._program = sight(filter(None, [program()])).mark
        self._entries: dict[str, Entry] | None = None
        self._used: set[str] = set()
        self._size = 0
        self._is_new = False  # something is known that the file does not hold
        self._written = time.monotonic()

    def recall(self, wanted: Wanted, contents: Contents) -> Metadata | None:
        """Give what is known of an ebuild; None when it, or an eclass of it, is another one."""
        path = contents.path_of(wanted)
        entry = self._known().get(path)
        if entry is None or entry.ebuild != contents.ebuild(wanted):
            return None
        if not contents.has(entry.eclasses):
            return None
        self._used.add(path)
        return entry.metadata

    def keep(self, path: str, entry: Entry) -> None:
        """Remember an answer; it is written with others, a few seconds later at most."""
        entries = self._known()
        old = entries.pop(path, None)
        self._size += entry.size - (old.size if old else 0)
        if self._size > LARGEST:
            self._size -= entry.size
            return
        entries[path] = entry
        self._used.add(path)
        self._is_new = True
        if time.monotonic() - self._written >= EVERY:
            self.write()

    def write(self) -> None:
        """Write what is not written yet."""
        if self._is_new and not self._read_only:
            memory.keep(self._path, _facts(self._program, self._known()))
            self._is_new = False
        self._written = time.monotonic()

    def forget_others(self) -> None:
        """Forget what nobody asked for since this memory was opened."""
        if self._entries is None and not self._path.exists():
            return
        kept = {path: entry for path, entry in self._known().items() if path in self._used}
        if len(kept) < len(self._known()):
            self._entries, self._is_new = kept, True
            self._size = sum(entry.size for entry in kept.values())
            self.write()

    def _known(self) -> dict[str, Entry]:
        if self._entries is None:
            facts = memory.recall(self._path)
            is_ours = facts is not None and facts["program"] == self._program
            self._entries = _entries(facts) if facts is not None and is_ours else {}
            self._size = sum(entry.size for entry in self._entries.values())
        return self._entries


def _facts(program: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Write entries as JSON has them; ebuilds share their lists of eclasses."""
    numbers: dict[str, int] = {}
    ebuilds = {
        path: [entry.ebuild, numbers.setdefault(entry.eclasses, len(numbers)), *entry.metadata]
        for path, entry in entries.items()
    }
    return {"program": program, "eclasses": [*numbers], "ebuilds": ebuilds}


def _entries(facts: Mapping[str, Any]) -> dict[str, Entry]:
    eclasses = facts["eclasses"]
    return {
        path: Entry(ebuild, eclasses[number], Metadata(*said))
        for path, (ebuild, number, *said) in facts["ebuilds"].items()
    }

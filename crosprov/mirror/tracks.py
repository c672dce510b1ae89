"""The tracks of files through a tree's history: in which Manifest each had which content when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from crosprov.mirror.model import Archive


@dataclass(frozen=True, slots=True)
class Change:
    """Say that a file was another one before a commit; `date` is that commit's, YYYY-MM-DD.

    `manifest` is the path of the Manifest that names it, below the tree.
    """

    name: str
    manifest: str
    commit: str
    date: str
    before: Archive
    after: Archive


@dataclass(frozen=True, slots=True)
class Commit:
    """Name a commit; its age counts those that are newer."""

    age: int
    short: str = ""
    date: str = ""


NOT_YET = Commit(-1)  # what is not committed yet


@dataclass(slots=True)
class _Line:
    """Follow one file into the past, in one Manifest."""

    manifest: str
    newest: Archive
    last: Commit  # that wrote it; NOT_YET for an entry that is there
    oldest: Archive
    born: Commit
    latest: Change | None = None

    def extend(self, archive: Archive, commit: Commit) -> None:
        """Add an older entry; what follows it is what was added last."""
        if self.latest is None:
            self._compare(archive)
        self.oldest, self.born = archive, commit

    def take_over(self, other: _Line) -> None:
        """Add what another Manifest said of the file before this one named it."""
        if self.latest is None:
            self._compare(other.newest)
        if self.latest is None and other.latest is not None:
            self.latest = replace(other.latest, manifest=self.manifest)
        self.oldest, self.born = other.oldest, other.born

    def _compare(self, older: Archive) -> None:
        if compare(older, self.oldest) is False:
            name, born = older.name, self.born
            self.latest = Change(name, self.manifest, born.short, born.date, older, self.oldest)

    def change(self) -> Change | None:
        """Give the latest change, unless the content is again what it was first."""
        return None if compare(self.oldest, self.newest) else self.latest


class Track:
    """Follow one name into the past, in every Manifest that ever had it."""

    def __init__(self, now: Mapping[str, Archive]) -> None:
        self._here = {path: _line(path, archive, NOT_YET) for path, archive in now.items()}
        self._gone: dict[str, _Line] = {}

    def add(self, manifest: str, archive: Archive, commit: Commit) -> None:
        """Add an older entry of a Manifest."""
        line = self._here.get(manifest) or self._gone.get(manifest)
        if line is None:
            self._gone[manifest] = _line(manifest, archive, commit)
        else:
            line.extend(archive, commit)

    def change(self) -> Change | None:
        """Give the latest change.

        What a Manifest that has the file no more said of it before any other one did is the past
        of that other one.
        """
        eldest = max(self._here.values(), key=lambda line: line.born.age)
        for line in self._gone.values():
            if line.last.age > eldest.born.age:
                eldest.take_over(line)
        return next((change for line in self._here.values() if (change := line.change())), None)


def _line(manifest: str, archive: Archive, commit: Commit) -> _Line:
    return _Line(manifest, archive, commit, archive, commit)


def compare(one: Archive, other: Archive) -> bool | None:
    """Tell whether two entries are of one content; None when they have no hash in common."""
    if one.size != other.size:
        return False
    common = one.hashes.keys() & other.hashes.keys()
    return all(one.hashes[name] == other.hashes[name] for name in common) if common else None

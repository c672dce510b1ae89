"""The union of what trees need: one content for each name, or a conflict that names both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crosprov.mirror.model import Archive, Claim, Fault, Need, Owner


@dataclass(frozen=True, slots=True)
class Clash:
    """Name two owners of a file whose Manifests differ about its content."""

    name: str
    earlier: Owner
    later: Owner
    difference: str

    def __str__(self) -> str:
        one, other = self.earlier, self.later
        return (
            f"{self.name} has two contents: {one.package} of {one.tree} ({one.manifest}) and "
            f"{other.package} of {other.tree} ({other.manifest}) give {self.difference}"
        )


class Conflict(Fault):
    """One name stands for two contents; `clashes` holds each such name with two who differ."""

    def __init__(self, clashes: Sequence[Clash]) -> None:
        more = f", and {len(clashes) - 1} more names do as well" if len(clashes) > 1 else ""
        super().__init__(
            f"{clashes[0]}{more}",
            hint="give one of them a name of its own in its SRC_URI, with '-> name', as in "
            f"'-> {_dated(clashes[0].name)}'",
        )
        self.clashes = tuple(clashes)


class Union:
    """Join claims by the name of their file."""

    def __init__(self) -> None:
        self._archives: dict[str, Archive] = {}
        self._claims: dict[str, list[Claim]] = {}
        self._clashes: dict[str, Clash] = {}

    def add(self, names: Iterable[str], archives: Mapping[str, Archive], claim: Claim) -> list[str]:
        """Add one who needs files of its Manifest; give back the names that are not in it.

        The hashes of all who need a file are wanted of it together.
        """
        lacking = []
        known, claims = self._archives, self._claims
        for name in names:
            archive = archives.get(name)
            if archive is None:
                lacking.append(name)
                continue
            earlier = known.get(name)
            if earlier is None:
                known[name] = archive
                claims[name] = [claim]
            elif earlier is archive or self._agree(earlier, archive, claim):
                claims[name].append(claim)
        return lacking

    def _agree(self, earlier: Archive, archive: Archive, claim: Claim) -> bool:
        """Join two entries of one name, or remember that they contradict each other."""
        if earlier == archive:
            return True
        name = archive.name
        difference = _difference(earlier, archive)
        if difference is None:
            hashes = {**earlier.hashes, **archive.hashes}
            self._archives[name] = Archive(name, archive.size, hashes)
            return True
        if name not in self._clashes:
            first = self._claims[name][0].owner(name)
            self._clashes[name] = Clash(name, first, claim.owner(name), difference)
        return False

    def needs(self) -> dict[str, Need]:
        """Give every file with its owners; raises Conflict when a name has two contents."""
        if self._clashes:
            raise Conflict(tuple(self._clashes.values()))
        claims = self._claims
        return {name: Need(arch, claims=claims[name]) for name, arch in self._archives.items()}


def _difference(one: Archive, other: Archive) -> str | None:
    """Say in what two entries of one name contradict each other."""
    if one.size != other.size:
        return f"{one.size} and {other.size} bytes"
    for algorithm, digest in one.hashes.items():
        against = other.hashes.get(algorithm, digest)
        if against != digest:
            return f"{algorithm} {digest[:16]}… and {against[:16]}…, with the same size"
    return None


def _dated(name: str) -> str:
    """Put a date in front of a name's ending, as Gentoo's manual advises for a changed file."""
    stem, dot, ending = name.partition(".tar.")
    if not dot:
        stem, dot, ending = name.rpartition(".")
    return f"{stem or name}_YYYYMMDD{dot}{ending if stem else ''}"

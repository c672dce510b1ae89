"""The words of an archive mirror: archives, who needs them, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Fault(Exception):
    """Say what a person must mend: one sentence, where it is, and a hint where there is one."""

    def __init__(self, sentence: str, *, hint: str | None = None, where: str | None = None) -> None:
        super().__init__(f"{where}: {sentence}" if where else sentence)
        self.sentence = sentence
        self.hint = hint
        self.where = where


@dataclass(frozen=True, slots=True)
class Place:
    """Name a place in a file; lines count from one, 0 means the file as a whole."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Archive:
    """Describe one file of a mirror.

    `size` counts bytes; `hashes` maps the name of an algorithm in upper case, as Manifests
    write it, to a digest of lower-case hexadecimal digits.
    """

    name: str
    size: int
    hashes: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Uri:
    """Say where an ebuild says a file comes from.

    `text` is ready to be asked for. `restricted` says that mirrors must not offer the file:
    RESTRICT holds `mirror` or `fetch`, and no prefix of EAPI 8 lifts that for this one.
    `by_hand` says that no program may fetch it: RESTRICT holds `fetch`, not lifted either.
    """

    text: str
    restricted: bool
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Name an ebuild that needs a file.

    `package` is `category/name`, `ebuild` the path of its file, `manifest` the line that
    vouches for the archive, `public` whether everybody may see the tree.
    """

    tree: str
    package: str
    ebuild: str
    version: str
    manifest: Place
    uris: tuple[Uri, ...]
    public: bool


class Claim(Protocol):
    """Know an ebuild that needs files, and say so of one of them when asked."""

    def owner(self, name: str) -> Owner: ...


class Need:
    """Join a file with all who need it; they agree on its size and on every common hash.

    A tree has some 80,000 owners, and a sync with little to do asks for few: they are made of
    `claims` when they are asked for.
    """

    __slots__ = ("_claims", "_owners", "archive")

    def __init__(
        self, archive: Archive, owners: Sequence[Owner] = (), *, claims: Sequence[Claim] = ()
    ) -> None:
        self.archive = archive
        self._owners = owners
        self._claims = claims

    @property
    def owners(self) -> tuple[Owner, ...]:
        """Name all who need the file, in the order of the trees and of their packages."""
        name = self.archive.name
        return (*self._owners, *(claim.owner(name) for claim in self._claims))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Need):
            return NotImplemented
        return (self.archive, self.owners) == (other.archive, other.owners)

    def __hash__(self) -> int:
        return hash(self.archive)

    def __repr__(self) -> str:
        return f"Need(archive={self.archive!r}, owners={self.owners!r})"


@dataclass(frozen=True, slots=True)
class Remark:
    """Say something that a person should know, and that stops nothing."""

    kind: str
    place: Place | None
    sentence: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """Hold what a mirror must have, by name, and what was noticed while finding out.

    `mark` names the state of the trees that this was found in: while they give the same one,
    so is what they need. It is empty where nothing vouches for that.
    """

    archives: Mapping[str, Need] = field(hash=False)
    remarks: tuple[Remark, ...] = ()
    mark: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tree:
    """Name a tree of ebuilds: a folder with `profiles/repo_name` or `metadata/layout.conf`.

    `masters` are folders of the trees whose eclasses it uses, for a tree whose
    layout.conf names masters that are not known otherwise.
    """

    name: str
    path: Path
    public: bool
    masters: tuple[Path, ...] = ()

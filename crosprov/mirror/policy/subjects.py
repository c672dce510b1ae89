"""What the rules look at: each ebuild of a tree with its text, its files and their entries."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crosprov.mirror.events import Events
from crosprov.mirror.learning import learn
from crosprov.mirror.manifests import Manifest, read_manifest
from crosprov.mirror.metadata import Cache, Metadata, Stale, read_file
from crosprov.mirror.model import Archive, Fault, Place, Remark
from crosprov.mirror.policy.shell import Assignment, Command, assignments_of, commands_of
from crosprov.mirror.policy.traces import Traces
from crosprov.mirror.sourcing import Wanted
from crosprov.mirror.trees import Lineage, Package, packages_of
from crosprov.mirror.uris import BadUris, Source, restrictions_of, sources_of

_REVISION = re.compile(r"-r([0-9]+)$")


@dataclass(slots=True)
class Held:
    """Hold a package with its Manifest; `path` is below the tree, as all places are."""

    package: Package
    path: str
    manifest: Manifest


class Script:
    """Hold a file of shell code: an ebuild, or an eclass."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def commands(self) -> list[Command]:
        """Give the commands of the text."""
        return commands_of(self.text)

    @cached_property
    def assignments(self) -> list[Assignment]:
        """Give the assignments of the text."""
        return list(assignments_of(self.commands))


class Ebuild(Script):
    """Hold an ebuild with what it asks for; `sources` is None when that is not known.

    One that is a link has its text, and so its breaches, from another ebuild.
    """

    def __init__(self, held: Held, name: str, text: str, *, is_link: bool = False) -> None:
        super().__init__(f"{held.path}/{name}", text)
        self.held = held
        self.name = name
        self.is_link = is_link
        self.sources: tuple[Source, ...] | None = None
        self.restrict: frozenset[str] = frozenset()
        self._traces: dict[str, Traces] = {}

    @property
    def revised(self) -> str:
        """Give the version with its revision, `${PVR}`."""
        return self.held.package.version_of(self.name)

    @property
    def version(self) -> str:
        """Give the version, `${PV}`."""
        return _REVISION.sub("", self.revised)

    @property
    def revision(self) -> int:
        """Give the revision as a number, 0 when it has none."""
        found = _REVISION.search(self.revised)
        return int(found[1]) if found else 0

    @property
    def is_live(self) -> bool:
        """Tell whether it builds from a repository as it is now, by the custom of 9999."""
        return "9999" in self.version

    @property
    def place(self) -> Place:
        """Name the file as a whole."""
        return Place(self.path)

    def place_of(self, source: Source) -> Place:
        """Name the line that says where a file comes from; an eclass may do it, and none then."""
        return Place(self.path, self._lines("SRC_URI").line_of([source.uri]))

    def place_of_name(self, source: Source) -> Place:
        """Name the line that says what a file is called."""
        renamed = source.name != source.uri.rpartition("/")[2]
        words = [source.name, source.uri] if renamed else [source.uri]
        return Place(self.path, self._lines("SRC_URI").line_of(words))

    def place_of_restriction(self, word: str) -> Place:
        """Name the line that puts a word into RESTRICT, else the file: an eclass may do it."""
        return Place(self.path, self._lines("RESTRICT").line_of([word, f"no{word}"]))

    def _lines(self, variable: str) -> Traces:
        if variable not in self._traces:
            self._traces[variable] = Traces(variable, self.assignments, self._known())
        return self._traces[variable]

    def _known(self) -> dict[str, str]:
        """Give the variables that the ebuild's own name sets (PMS, section 11.1)."""
        package = self.held.package
        return {
            "CATEGORY": package.category,
            "PN": package.name,
            "PV": self.version,
            "PVR": self.revised,
            "PR": f"r{self.revision}",
            "P": f"{package.name}-{self.version}",
            "PF": f"{package.name}-{self.revised}",
        }


class Gathering:
    """Read a tree's packages once; what could not be known is in `remarks`."""

    def __init__(self, lineage: Lineage) -> None:
        self.remarks: list[Remark] = []
        self.packages: list[Held] = []
        self.ebuilds: list[Ebuild] = []
        self._lineage = lineage
        self._root = str(lineage.tree.path)
        self._cache = Cache(lineage.folders, trusting=bool(lineage.missing))

    def read(self, events: Events, *, source: bool) -> None:
        """Read everything; with `source`, ebuilds that the cache does not know are sourced."""
        waiting: list[tuple[Ebuild, Stale]] = []
        for package in packages_of(self._lineage.tree.path):
            held = self._held(package)
            self.packages.append(held)
            for name in package.ebuilds:
                ebuild = self._ebuild(held, name)
                known = self._cache.find(package.category, package.name, name)
                if isinstance(known, Stale):
                    waiting.append((ebuild, known))
                else:
                    self._take(ebuild, known)
        answers = self._learn(waiting, events) if source else []
        self._settle(waiting, answers)

    def names(self) -> set[str]:
        """Name the files that the ebuilds ask for, as far as that is known."""
        return {source.name for ebuild in self.ebuilds for source in ebuild.sources or ()}

    def entries(self) -> dict[str, dict[str, Archive]]:
        """Give the entries of all Manifests: by name, then by the Manifest's path."""
        found: dict[str, dict[str, Archive]] = {}
        for held in self.packages:
            for name, archive in held.manifest.archives.items():
                found.setdefault(name, {})[held.manifest.path] = archive
        return found

    def _learn(
        self, waiting: Sequence[tuple[Ebuild, Stale]], events: Events
    ) -> list[Metadata | Stale]:
        wanted = [
            Wanted(e.held.package.category, e.held.package.name, e.revised) for e, _ in waiting
        ]
        learned = learn(self._lineage.folders, wanted, None, events)
        return [one.metadata for one in learned]

    def _settle(
        self, waiting: Sequence[tuple[Ebuild, Stale]], learned: Sequence[Metadata | Stale]
    ) -> None:
        answers = iter(learned)
        for ebuild, stale in waiting:
            answer = next(answers, stale)
            if isinstance(answer, Metadata):
                self._take(ebuild, answer)
            else:
                reasons = dict.fromkeys((stale.reason, answer.reason))
                self._remark(ebuild, f"what it fetches is not known: {'; '.join(reasons)}")

    def _take(self, ebuild: Ebuild, known: Metadata) -> None:
        try:
            ebuild.restrict = restrictions_of(known.restrict)
            ebuild.sources = tuple(sources_of(known.src_uri, known.eapi))
        except BadUris as bad:
            self._remark(ebuild, f"its SRC_URI or RESTRICT cannot be read: {bad}")

    def _held(self, package: Package) -> Held:
        path = f"{package.category}/{package.name}"
        manifest = Manifest(f"{path}/Manifest", {}, {})
        if package.has_manifest:
            manifest = _manifest(self._root, manifest.path, manifest.path)
        return Held(package, path, manifest)

    def _ebuild(self, held: Held, name: str) -> Ebuild:
        try:
            text = read_file(f"{self._root}/{held.path}/{name}").decode(errors="replace")
        except OSError:
            text = ""
        is_link = os.path.islink(f"{self._root}/{held.path}/{name}")
        ebuild = Ebuild(held, name, text, is_link=is_link)
        self.ebuilds.append(ebuild)
        return ebuild

    def _remark(self, ebuild: Ebuild, sentence: str) -> None:
        hint = "renew the tree's metadata/md5-cache"
        self.remarks.append(Remark("unknown ebuild", ebuild.place, sentence, hint))


def eclasses_of(root: Path) -> Iterator[Script]:
    """Read the eclasses of a tree; one that is a link has its code from elsewhere."""
    try:
        names = sorted(os.listdir(root / "eclass"))
    except OSError:
        return
    for name in names:
        path = root / "eclass" / name
        if name.endswith(".eclass") and not path.is_symlink() and path.is_file():
            try:
                text = read_file(str(path)).decode(errors="replace")
            except OSError as error:
                sentence = f"the file cannot be read: {error.strerror}"
                raise Fault(sentence, where=str(path)) from None
            yield Script(f"eclass/{name}", text)


def manifests_of(root: Path) -> Iterator[Manifest]:
    """Read the Manifests of a tree that is not looked at itself; their places are full paths."""
    for package in packages_of(root):
        if package.has_manifest:
            path = f"{package.category}/{package.name}/Manifest"
            yield _manifest(str(root), path, f"{root}/{path}")


def _manifest(root: str, path: str, shown: str) -> Manifest:
    try:
        return read_manifest(read_file(f"{root}/{path}"), shown)
    except OSError as error:
        return Manifest(shown, {}, {}, (Remark("bad Manifest", Place(shown), f"{error.strerror}"),))

"""One tree gone through: which ebuild needs which file, and what is odd about either."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crosprov.mirror.claims import EbuildClaim
from crosprov.mirror.events import Events
from crosprov.mirror.learning import learn
from crosprov.mirror.manifests import Manifest, read_manifest
from crosprov.mirror.metadata import Cache, Metadata, Stale, read_file
from crosprov.mirror.model import Archive, Place, Remark
from crosprov.mirror.sourced_memory import SourcedMemory
from crosprov.mirror.sourcing import Wanted
from crosprov.mirror.trees import Lineage, Package, third_party_mirrors
from crosprov.mirror.union import Union
from crosprov.mirror.uris import BadUris, mirror_of, names_of, restrictions_of, sources_of


@dataclass(frozen=True, slots=True)
class Draft:
    """Hold what is known of a package: its Manifest, and what each of its ebuilds says."""

    package: Package
    folder: str
    manifest: Manifest
    metadata: dict[str, Metadata | Stale]

    def place_of(self, ebuild: str) -> Place:
        """Name an ebuild's file."""
        return Place(f"{self.folder}/{ebuild}")

    def wanted(self, ebuild: str) -> Wanted:
        """Name an ebuild for whoever sources it."""
        package = self.package
        return Wanted(package.category, package.name, package.version_of(ebuild))

    def stale(self) -> dict[str, Stale]:
        """Give the ebuilds of which the cache does not know what they say."""
        return {name: k for name, k in self.metadata.items() if isinstance(k, Stale)}


class Survey:
    """Go through one tree and add what it needs to the union."""

    def __init__(
        self,
        lineage: Lineage,
        packages: Iterable[Package],
        union: Union,
        lines: dict[str, Archive],
    ) -> None:
        self.is_certain = True  # nothing failed that may work at another time
        self._remarks: list[Remark] = []
        self._sourced = self._now = 0  # ebuilds that were sourced for want of any cache
        self._packages = packages
        self._tree = lineage.tree
        self._lineage = lineage
        self._base = str(lineage.tree.path)
        self._union = union
        self._lines = lines
        self._mirrors = third_party_mirrors(lineage.folders)
        self._cache = Cache(lineage.folders, trusting=bool(lineage.missing))
        self._waiting: list[Draft] = []
        self._unknown_mirrors: dict[str, list[Place]] = {}

    def walk(self) -> None:
        """Read every package; those with an ebuild that the cache does not know have to wait."""
        self._remark_masters()
        stems: dict[str, list[str]] = {}
        for package in self._packages:
            draft = self._draft(package)
            if any(type(known) is Stale for known in draft.metadata.values()):
                self._waiting.append(draft)
            else:
                self._claim(draft)
            known = stems.setdefault(package.category, [])
            known.extend(ebuild[: -len(".ebuild")] for ebuild in package.ebuilds)
        for category, known in stems.items():
            for stem in self._cache.left_over(category, known):
                place = Place(f"{self._base}/metadata/md5-cache/{category}/{stem}")
                self._remark("left-over cache", place, "the entry belongs to no ebuild")

    def settle(self, sourced: SourcedMemory | None, events: Events, *, source: bool) -> None:
        """Find out about the ebuilds that the cache does not know, and add what they need."""
        if source and self._waiting:
            self._learn(sourced, events)
        for draft in self._waiting:
            for ebuild, stale in draft.stale().items():
                self.is_certain = False
                self._remark(
                    "unknown ebuild",
                    draft.place_of(ebuild),
                    f"what it fetches is not known: {stale.reason}",
                    "renew the tree's metadata/md5-cache",
                )
            self._claim(draft)
        self._remark_unknown_mirrors()

    def remarks(self, *, again: bool = False) -> tuple[Remark, ...]:
        """Give what was noticed; with `again`, as a reading that sources nothing would say it."""
        if not self._sourced:
            return tuple(self._remarks)
        now = 0 if again else self._now
        sentence = f"the tree has no metadata/md5-cache: {_told(self._sourced, now)}"
        remark = Remark("no cache", Place(self._base), sentence, "write one with egencache")
        return (remark, *self._remarks)

    def _learn(self, sourced: SourcedMemory | None, events: Events) -> None:
        """Learn what ebuilds say, and say so: of each, or once for a tree that has no cache."""
        asked = [
            (draft, ebuild, stale.reason)
            for draft in self._waiting
            for ebuild, stale in draft.stale().items()
        ]
        wanted = [draft.wanted(ebuild) for draft, ebuild, _ in asked]
        answers = learn(self._lineage.folders, wanted, sourced, events)
        for (draft, ebuild, reason), answer in zip(asked, answers, strict=True):
            known = answer.metadata
            if isinstance(known, Stale):
                draft.metadata[ebuild] = Stale(f"{reason}; {known.reason}")
                continue
            draft.metadata[ebuild] = known
            if self._cache.exists:
                self._remark("stale cache", draft.place_of(ebuild), f"{reason}; it was sourced")
            else:
                self._sourced += 1
                self._now += answer.is_new

    def _draft(self, package: Package) -> Draft:
        folder = f"{self._base}/{package.category}/{package.name}"
        manifest = Manifest(f"{folder}/Manifest", {}, {})
        if package.has_manifest:
            manifest = self._read(manifest.path)
            self._remarks.extend(manifest.remarks)
        find = self._cache.find
        category, name = package.category, package.name
        metadata = {ebuild: find(category, name, ebuild) for ebuild in package.ebuilds}
        return Draft(package, folder, manifest, metadata)

    def _read(self, path: str) -> Manifest:
        try:
            return read_manifest(read_file(path), path, self._lines)
        except OSError as error:
            self.is_certain = False
            sentence = f"the Manifest cannot be read: {error.strerror}"
            return Manifest(path, {}, {}, (Remark("bad Manifest", Place(path), sentence),))

    def _claim(self, draft: Draft) -> None:
        """Give each entry to the ebuilds that name its file.

        An entry that none names goes to the ebuilds of which nothing is known, if there are
        such: better one file too many than a build that lacks one.
        """
        if not draft.manifest.sound:
            return
        claimed: set[str] = set()
        unknown: list[str] = []
        for ebuild, known in draft.metadata.items():
            names = None if isinstance(known, Stale) else self._names(draft, ebuild, known)
            if names is None:
                unknown.append(ebuild)
            elif names:
                self._own(draft, ebuild, known, names)
                claimed.update(names)
        left = [name for name in draft.manifest.archives if name not in claimed]
        for ebuild in unknown if left else ():
            self._own(draft, ebuild, None, left)
        if left and not unknown:
            self._remark_unused(draft, left)

    def _own(
        self, draft: Draft, ebuild: str, known: Metadata | Stale | None, names: Iterable[str]
    ) -> None:
        package, place = draft.package, draft.place_of(ebuild)
        claim = EbuildClaim(
            self._tree,
            package.key,
            place.path,
            package.version_of(ebuild),
            draft.manifest,
            known if isinstance(known, Metadata) else None,
            self._mirrors,
        )
        lacking = self._union.add(names, draft.manifest.archives, claim)
        if lacking:
            self._remark_lacking(draft, place, lacking)

    def _names(self, draft: Draft, ebuild: str, known: Metadata) -> Iterable[str] | None:
        """Give the names of an ebuild's files, each once; None when it cannot be understood."""
        try:
            restrictions_of(known.restrict)
            names = dict.fromkeys(names_of(known.src_uri, known.eapi))
        except BadUris as bad:
            self._remark(
                "bad SRC_URI",
                draft.place_of(ebuild),
                f"what it fetches is not known, its SRC_URI or RESTRICT is wrong: {bad}",
            )
            return None
        if "mirror://" in known.src_uri:
            self._notice_mirrors(draft.place_of(ebuild), known)
        return names

    def _notice_mirrors(self, place: Place, known: Metadata) -> None:
        """Remember the mirrors that no tree knows; `gentoo` is every upstream's own name."""
        named = {mirror_of(source.uri) for source in sources_of(known.src_uri, known.eapi)}
        for name in named - {None, "gentoo"} - self._mirrors.keys():
            self._unknown_mirrors.setdefault(str(name), []).append(place)

    def _remark_unknown_mirrors(self) -> None:
        for name, places in sorted(self._unknown_mirrors.items()):
            more = f", which {len(places)} ebuilds name" if len(places) > 1 else ""
            self._remark(
                "unknown mirror", places[0], f"no tree says where mirror://{name}/ is{more}"
            )

    def _remark_masters(self) -> None:
        for name in self._lineage.missing:
            self._remark(
                "missing master",
                Place(f"{self._base}/metadata/layout.conf"),
                f"{self._tree.name} follows {name}, whose folder is not known: cached metadata "
                "is believed as far as its eclasses go",
                "list the folder among the tree's masters",
            )

    def _remark_lacking(self, draft: Draft, place: Place, names: list[str]) -> None:
        if not self._lineage.layout.manifests:
            return
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        what = "has no entry of" if draft.package.has_manifest else "is missing, it would vouch for"
        self._remark(
            "no entry",
            place,
            f"the Manifest {what} {few}: nothing proves the content, so it is not mirrored",
            "write the Manifest with crosprov mirror manifest",
        )

    def _remark_unused(self, draft: Draft, left: Iterable[str]) -> None:
        for name in left:
            self._remark(
                "unused entry",
                draft.manifest.place_of(name),
                f"no ebuild of {draft.package.key} fetches {name}: it is not mirrored",
                "write the Manifest anew",
            )

    def _remark(self, kind: str, place: Place, sentence: str, hint: str | None = None) -> None:
        self._remarks.append(Remark(kind, place, sentence, hint))


def _told(sourced: int, now: int) -> str:
    """Say how many ebuilds were sourced, and when."""
    words = "1 ebuild was sourced" if sourced == 1 else f"{sourced} ebuilds were sourced"
    if now == sourced:
        return words
    return f"{words}, {now} of them now and {sourced - now} earlier" if now else f"{words} earlier"

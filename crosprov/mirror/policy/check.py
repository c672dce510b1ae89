"""The check of a tree: every rule, the allow-list, and a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from crosprov.mirror.allowlist import AllowList, sort_out
from crosprov.mirror.events import Events, mute
from crosprov.mirror.findings import Finding, Report
from crosprov.mirror.history import changes_of, has_history, is_shallow
from crosprov.mirror.manifests import Manifest
from crosprov.mirror.model import Archive, Fault, Place, Remark, Tree
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.archives import (
    Opener,
    find_formats,
    find_layout,
    own_bucket,
    problem_of_format,
)
from crosprov.mirror.policy.binaries import find_binaries
from crosprov.mirror.policy.buckets import Buckets
from crosprov.mirror.policy.entries import Mirror, find_clashes, find_entries, find_unmirrored
from crosprov.mirror.policy.names import find_names
from crosprov.mirror.policy.naming import dated
from crosprov.mirror.policy.places import find_places, find_private_code
from crosprov.mirror.policy.revisions import find_revisions
from crosprov.mirror.policy.subjects import (
    Ebuild,
    Gathering,
    eclasses_of,
    manifests_of,
)
from crosprov.mirror.policy.unpacking import find_unpacking
from crosprov.mirror.tracks import compare
from crosprov.mirror.trees import Lineage, lineage_of, read_layout


@dataclass(frozen=True, slots=True)
class Options:
    """Say what a check looks at.

    `mirrors` are listings, without which `unmirrored` is not looked at; `open_archive` gives
    the content of an archive of one's own, without which `own-layout` is not. `history` reads
    the tree's git history; `source_stale` runs the code of ebuilds that the tree's cache does
    not know, and tells `events`. `masters` are trees that the tree may follow.
    """

    buckets: Buckets = Buckets()
    mirrors: tuple[Mirror, ...] = ()
    open_archive: Opener | None = None
    history: bool = True
    source_stale: bool = True
    masters: tuple[Tree, ...] = ()
    events: Events = mute


def check(tree: Tree, options: Options, allowed: AllowList | None = None) -> Report:
    """Check a tree of ebuilds; raises Fault when the folder is none.

    Findings come in the order of their places, which are below the tree's folder.
    """
    known = {read_layout(master.path).name: master.path for master in options.masters}
    lineage = lineage_of(tree, known)
    gathering = Gathering(lineage)
    gathering.read(options.events, source=options.source_stale)
    checking = _Checking(tree, lineage, gathering, options)
    found = sorted(_once(checking.findings()), key=lambda finding: finding.order)
    ran = checking.ran()
    result = sort_out(allowed or AllowList(), found, ran)
    return Report(
        tree=tree.name,
        ebuilds=len(gathering.ebuilds),
        files=len(gathering.names()),
        findings=tuple(result.findings),
        excused=tuple(result.excused),
        remarks=(*gathering.remarks, *checking.remarks, *checking.skipped(), *result.remarks),
        ran=ran,
        skipped=tuple(id_ for id_ in rules.RULES if id_ not in ran),
    )


# What these find is a matter of the file, however many ebuilds ask for it.
_ABOUT_FILES = frozenset(
    rule.id
    for rule in (
        rules.BUCKET,
        rules.MIRROR_DIRECT,
        rules.OWN_FORMAT,
        rules.SUBDIRECTORY,
        rules.UNMIRRORED,
    )
)


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Keep one finding of each file, and of an ebuild's revision that with the file's name."""
    kept: dict[tuple[str, ...], Finding] = {}
    for finding in findings:
        if finding.rule in _ABOUT_FILES:
            kept.setdefault((finding.rule, finding.subject), finding)
        elif finding.rule == rules.NAME_REVISION.id:
            kept.setdefault((finding.rule, finding.place.path), finding)
        else:
            kept.setdefault((finding.rule, str(finding.place), finding.subject), finding)
    return list(kept.values())


class _Checking:
    def __init__(
        self, tree: Tree, lineage: Lineage, gathering: Gathering, options: Options
    ) -> None:
        self.remarks: list[Remark] = []
        self._tree = tree
        self._lineage = lineage
        self._gathering = gathering
        self._options = options
        self._skipped: set[str] = set()

    def ran(self) -> tuple[str, ...]:
        """Name the rules that were looked at."""
        return tuple(id_ for id_ in rules.RULES if id_ not in self._skipped)

    def skipped(self) -> Iterator[Remark]:
        """Say which rules were not looked at for want of mirrors; history has its own remark."""
        names = sorted(self._skipped - {rules.CHANGED.id})
        if names:
            hint = "name mirrors to look: --mirror MIRROR, --mirrors-of INVENTORY or --documented"
            yield Remark("not looked at", None, f"not looked at: {', '.join(names)}", hint)

    def findings(self) -> Iterator[Finding]:
        """Yield what every rule finds."""
        gathering = self._gathering
        yield from self._of_masters()
        yield from find_names(gathering.ebuilds)
        yield from find_clashes(gathering.packages, self._manifests_of_masters())
        yield from self._of_packages()
        yield from self._of_ebuilds()
        yield from self._of_eclasses()
        yield from self._of_mirrors()
        yield from self._of_archives()
        yield from find_binaries(self._tree.path)
        yield from self._of_history()

    def _manifests_of_masters(self) -> Iterator[Manifest]:
        for folder in self._lineage.folders[1:]:
            yield from manifests_of(folder)

    def _of_packages(self) -> Iterator[Finding]:
        ebuilds: dict[str, list[Ebuild]] = {}
        for ebuild in self._gathering.ebuilds:
            ebuilds.setdefault(ebuild.held.path, []).append(ebuild)
        expected = self._lineage.layout.manifests
        for held in self._gathering.packages:
            yield from find_entries(held, ebuilds.get(held.path, []), expected=expected)

    def _of_masters(self) -> Iterator[Finding]:
        """Find private trees among those that a public one follows."""
        private = {m.name for m in self._options.masters if not m.public}
        for name in self._lineage.layout.masters:
            if self._tree.public and name in private:
                what = f"the private tree {name}"
                place = Place("metadata/layout.conf")
                yield rules.PRIVATE_MIRROR.at(place, name, what=what)

    def _of_ebuilds(self) -> Iterator[Finding]:
        """Go through what ebuilds say; what a link says is found in what it leads to."""
        buckets = self._options.buckets
        for ebuild in self._gathering.ebuilds:
            if not ebuild.is_link:
                yield from find_places(ebuild, buckets, public=self._tree.public)
                yield from find_revisions(ebuild)
                yield from find_formats(ebuild, buckets)
                yield from find_unpacking(ebuild)

    def _of_eclasses(self) -> Iterator[Finding]:
        """Go through the code that ebuilds share; where it fetches from is found in them."""
        for eclass in eclasses_of(self._tree.path):
            if self._tree.public:
                yield from find_private_code(eclass, self._options.buckets)
            yield from find_unpacking(eclass)

    def _of_mirrors(self) -> Iterator[Finding]:
        options = self._options
        if not options.mirrors:
            self._skipped.add(rules.UNMIRRORED.id)
            return
        self.remarks += [_unknown(one) for one in options.mirrors if one.public is None]
        for ebuild in self._gathering.ebuilds:
            yield from find_unmirrored(
                ebuild, options.mirrors, options.buckets, public=self._tree.public
            )

    def _of_archives(self) -> Iterator[Finding]:
        """Look into the archives of one's own, each once, as far as they are at hand."""
        opener = self._options.open_archive
        if opener is None:
            self._skipped.add(rules.OWN_LAYOUT.id)
            return
        for name, place in self._own_archives().items():
            content = opener(name)
            if content is not None:
                with content:
                    yield from find_layout(name, content, place)

    def _own_archives(self) -> dict[str, Place]:
        buckets = self._options.buckets
        return {
            source.name: ebuild.place_of_name(source)
            for ebuild in self._gathering.ebuilds
            for source in ebuild.sources or ()
            if own_bucket(source, buckets) and problem_of_format(source.name) is None
            if source.name.endswith((".tar.xz", ".txz"))
        }

    def _of_history(self) -> Iterator[Finding]:
        reason = self._why_no_history()
        if reason:
            self._skipped.add(rules.CHANGED.id)
            wanted = "check a full clone" if self._options.history else "leave --no-history out"
            hint = f"{wanted} to learn which files changed their content"
            self.remarks.append(Remark("no history", None, reason, hint))
        if not self._options.history or not has_history(self._tree.path):
            return
        manifests = {held.manifest.path: held.manifest for held in self._gathering.packages}
        try:
            changes = changes_of(self._tree.path, self._gathering.entries())
        except Fault as fault:
            self._skipped.add(rules.CHANGED.id)
            sentence = f"not looked at: {rules.CHANGED.id}, as {fault.sentence}"
            self.remarks.append(Remark("no history", None, sentence, fault.hint))
            return
        for change in changes:
            old, new = _difference(change.before, change.after)
            yield rules.CHANGED.at(
                manifests[change.manifest].place_of(change.name),
                change.name,
                commit=change.commit or "none yet",
                date=change.date or "in the working tree",
                old=old,
                new=new,
                suggestion=dated(change.name, change.date or "YYYYMMDD"),
            )

    def _why_no_history(self) -> str | None:
        path = self._tree.path
        if not self._options.history:
            return f"not looked at: {rules.CHANGED.id}, as the history was not to be read"
        if not has_history(path):
            return f"not looked at: {rules.CHANGED.id}, as the tree has no git history"
        if is_shallow(path):
            return f"not looked at whole: {rules.CHANGED.id}, as the checkout is shallow"
        return None


def _unknown(mirror: Mirror) -> Remark:
    sentence = f"who may read {mirror.name} is not known, so its files count for any tree"
    hint = "name it by an inventory, which says who may read it"
    return Remark("unknown mirror", None, sentence, hint)


def _difference(before: Archive, after: Archive) -> tuple[str, str]:
    """Write the two contents so that what tells them apart is seen."""
    common = [name for name in after.hashes if name in before.hashes]
    apart: Sequence[str] = [n for n in common if before.hashes[n] != after.hashes[n]]
    if not apart or compare(before, after) is not False:
        return f"{before.size} bytes", f"{after.size} bytes"
    name = apart[0]
    return (
        f"{name} {before.hashes[name][:16]}… ({before.size} bytes)",
        f"{after.hashes[name][:16]}… ({after.size} bytes)",
    )

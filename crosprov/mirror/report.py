"""What a sync or a verification found, and how it is told to people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from crosprov.mirror.model import Need, Owner, Remark


class Kind(StrEnum):
    """What is wrong with a file."""

    UPSTREAM_LACKS = "upstream-lacks"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CORRUPT = "corrupt"
    NO_SOURCE = "no-source"
    UNPROVABLE = "unprovable"
    IMMUTABLE = "immutable"
    REPLACED = "replaced"
    MISSING = "missing"
    STORE = "store"


_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
_BEGINNING = r"\1…"

# Remarks on trees that hide what is needed: a sync cannot know what it lacks.
_UNCLEAR = frozenset({"bad Manifest", "no entry", "unknown ebuild", "bad SRC_URI"})

# Of these the mirror holds a content that is not the one that is wanted. It stays where it is.
QUARANTINE = frozenset({Kind.IMMUTABLE, Kind.REPLACED})


@dataclass(frozen=True, slots=True)
class NeededBy:
    """Name an ebuild that needs a file, and the line that vouches for it."""

    tree: str
    package: str
    ebuild: str
    manifest: str

    @classmethod
    def of(cls, owner: Owner) -> NeededBy:
        """Take from an owner what a report says of it."""
        return cls(owner.tree, owner.package, owner.ebuild, str(owner.manifest))


@dataclass(frozen=True, slots=True)
class Tried:
    """Say what an upstream answered."""

    source: str
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Say why a mirror has not got a file as it should be."""

    name: str
    size: int
    kind: Kind
    sentence: str
    hint: str | None = None
    needed_by: tuple[NeededBy, ...] = ()
    tried: tuple[Tried, ...] = ()

    @classmethod
    def of(
        cls,
        need: Need,
        kind: Kind,
        sentence: str,
        hint: str | None = None,
        tried: tuple[Tried, ...] = (),
    ) -> Failure:
        """Say it of a need, with all who need the file."""
        owners = tuple(NeededBy.of(owner) for owner in need.owners)
        archive = need.archive
        return cls(archive.name, archive.size, kind, sentence, hint, owners, tried)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Sum up a sync or a verification.

    Times are seconds since 1970. `needed` files belong on the mirror; `present` were there
    before; of the `fetched`, `planned` in a dry run, also the bytes. `checked` were read and
    proven now. `untried` were not come to, because of what `stopped` says. `unknown` files are
    on the mirror, and were compared with nothing: nothing vouches for them. `last_good` is when
    a sync last left nothing to be done. `unclear` says where trees do not say, or not prove, what
    they need, so that no sync can know it.
    """

    what: str
    mirror: str
    began: float
    ended: float
    needed: int
    present: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    planned: tuple[str, ...] = ()
    planned_bytes: int = 0
    checked: int = 0
    checked_bytes: int = 0
    unproven: int = 0
    unknown: int = 0
    untried: int = 0
    stopped: str | None = None
    failures: tuple[Failure, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    last_good: float | None = None

    @property
    def is_good(self) -> bool:
        """Tell whether nothing is wrong and nothing is left to be done."""
        return not (self.failures or self.untried or self.stopped or self.planned)

    @property
    def quarantine(self) -> tuple[Failure, ...]:
        """Give the files whose content on the mirror is not to be trusted."""
        return tuple(one for one in self.failures if one.kind in QUARANTINE)

    @property
    def rate(self) -> float:
        """Give the bytes per second that were fetched and read."""
        seconds = self.ended - self.began
        return (self.fetched_bytes + self.checked_bytes) / seconds if seconds > 0 else 0.0


def unclear_of(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """Pick from remarks on trees what hides what they need, in sentences."""
    return tuple(
        f"{one.place}: {one.sentence}" if one.place else one.sentence
        for one in remarks
        if one.kind in _UNCLEAR
    )


def brief(failure: Failure) -> str:
    """Say in one line what is wrong with a file, of digests only the beginning."""
    return said_of(failure.name, shortened(failure.sentence))


def shortened(sentence: str) -> str:
    """Write a sentence in one line; of digests only the beginning, as git has it."""
    return _DIGEST.sub(_BEGINNING, " ".join(sentence.split()))


def said_of(name: str, sentence: str) -> str:
    """Say something of a file, and its name once; one like a word may stand there for the word."""
    is_named = re.search(rf"(?<!\S){re.escape(name)}(?![\w.+-])", sentence)
    return sentence if is_named and not name.isalpha() else f"{name}: {sentence}"


def as_text(report: Report) -> Iterator[str]:
    """Give a report in lines: each ebuild, the file that it misses, and why; then the sums."""
    for failure in report.failures:
        for owner in failure.needed_by or (None,):
            who = f"{owner.ebuild or owner.package}: " if owner else ""
            yield f"{who}{said_of(failure.name, failure.sentence)}"
        for tried in failure.tried:
            yield f"    {tried.source}: {tried.sentence}"
        if failure.hint:
            yield f"    hint: {failure.hint}"
    yield from (f"note: {remark}" for remark in report.remarks)
    if report.stopped:
        yield f"stopped: {report.stopped}"
    yield _sums(report)
    if report.last_good is not None and not report.is_good:
        yield f"last good sync: {age_of(report.ended - report.last_good)} ago"


def _sums(report: Report) -> str:
    words = [f"{report.needed} needed", f"{report.present} present"]
    if report.planned:
        words.append(f"{len(report.planned)} to fetch ({size_of(report.planned_bytes)})")
    if report.fetched:
        words.append(f"{report.fetched} fetched ({size_of(report.fetched_bytes)})")
    if report.checked:
        words.append(f"{report.checked} read and proven ({size_of(report.checked_bytes)})")
    counts = {
        "failed": len(report.failures),
        "not tried": report.untried,
        "not proven": report.unproven,
        "left out": len(report.left_out),
        "not clear": len(report.unclear),
        "not compared": report.unknown,
    }
    words += [f"{count} {word}" for word, count in counts.items() if count]
    rate = f", {size_of(report.rate)}/s" if report.rate else ""
    return f"{report.mirror}: {', '.join(words)} in {age_of(report.ended - report.began)}{rate}"


def size_of(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def age_of(seconds: float) -> str:
    """Write a span of time for people."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    for unit, length in (("min", 3600), ("h", 48 * 3600)):
        if seconds < length:
            return f"{seconds / (60 if unit == 'min' else 3600):.0f} {unit}"
    return f"{seconds / 86400:.0f} days"

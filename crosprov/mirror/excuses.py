"""The sentences for a file that no upstream gave."""

from __future__ import annotations

from crosprov.mirror.choosing import origins_of
from crosprov.mirror.fetching import Unfetched
from crosprov.mirror.model import Need
from crosprov.mirror.part import Reason
from crosprov.mirror.report import Failure, Kind, Tried
from crosprov.mirror.stores import new_name

_KINDS = {
    Reason.LACKS: Kind.UPSTREAM_LACKS,
    Reason.UNREACHABLE: Kind.UNREACHABLE,
    Reason.REFUSED: Kind.REFUSED,
    Reason.CORRUPT: Kind.CORRUPT,
}


def unfetched(need: Need, error: Unfetched, upstreams: int) -> Failure:
    """Make the failure of a file; `upstreams` counts the mirrors that are configured."""
    tried = tuple(Tried(one.source, str(one.reason), one.sentence) for one in error.attempts)
    reason = error.reason
    if reason is None:
        return Failure.of(need, Kind.NO_SOURCE, *_no_source(need))
    sentence, hint = _words(need, reason, upstreams)
    return Failure.of(need, _KINDS[reason], sentence, hint, tried)


def _words(need: Need, reason: Reason, upstreams: int) -> tuple[str, str]:
    if reason is Reason.LACKS and upstreams:
        return (
            "no upstream has it, which is a bug of the upstream's infrastructure",
            "report it to those who run it; the file does not belong on another mirror instead",
        )
    if reason is Reason.LACKS:
        return (
            "none of the addresses in its SRC_URI has it any more",
            "find its new address for SRC_URI; the content has to be what the Manifest says",
        )
    if reason is Reason.CORRUPT:
        return (
            "what is offered is not what the Manifest says",
            "when its authors replaced it, compare both contents, and give the new one a new "
            f"name, such as '-> {new_name(need.archive.name)}'",
        )
    if reason is Reason.REFUSED:
        return "no upstream gives it", "the sentences below say what each of them wants"
    return "no upstream could be reached", "the next sync tries again, and goes on where this ended"


def _no_source(need: Need) -> tuple[str, str]:
    named = ", ".join(origins_of(need)) or "none"
    return (
        "there is nowhere to fetch it from",
        f"name an upstream that has it; the addresses in its SRC_URI are: {named}",
    )

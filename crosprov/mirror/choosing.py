"""Which of the needed files belong on a mirror, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator

from crosprov.mirror.digests import computable
from crosprov.mirror.model import Need


def reason_to_leave_out(need: Need, *, public: bool, restricted: bool) -> str | None:
    """Say why a mirror is not to have a file; None when it is.

    A `public` one has nothing that only private trees need, for the files' names and contents
    are theirs. What RESTRICT keeps from mirrors is mirrored only with `restricted`.
    """
    everybody = owners = need.owners
    if public:
        owners = tuple(owner for owner in everybody if owner.public)
        if everybody and not owners:
            return "only private trees need it, and this mirror is public"
    uris = [uri for owner in owners for uri in owner.uris]
    if uris and not restricted and all(uri.restricted for uri in uris):
        return "RESTRICT says that mirrors may not offer it"
    return None


def is_provable(need: Need) -> bool:
    """Tell whether this machine can compute any of the hashes that the Manifests give."""
    return bool(computable(need.archive.hashes))


def origins_of(need: Need) -> Iterator[str]:
    """Give all addresses that ebuilds name for a file, those of all owners, each once."""
    seen: set[str] = set()
    for owner in need.owners:
        for uri in owner.uris:
            if uri.text not in seen and not uri.by_hand:
                seen.add(uri.text)
                yield uri.text

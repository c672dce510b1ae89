"""How a mirror is synced and verified, and where it keeps what it knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.model import Fault
from crosprov.mirror.web import Patience

LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Say how a mirror is synced.

    `state` is a folder for the ledger, the last report and, for a bucket, what is on its way.
    `public` mirrors get nothing that only private trees need; `restricted` also what RESTRICT
    keeps from mirrors. With `source_uris`, the addresses that ebuilds name are asked after the
    upstreams; without, a file that all upstreams lack is reported as their bug. `bandwidth` is
    in bytes per second over all, 0 for no limit. `hashed` adds the layout of Gentoo's mirrors.
    Without `prove`, files that the ledger does not know are believed for their size alone.
    A `dry_run` writes nothing. With `wait`, another sync or verification of the mirror is waited
    for, where it would be an error otherwise. `credentials` and `endpoint` are for upstreams of
    `gs://`.
    """

    state: Path
    public: bool = True
    restricted: bool = False
    source_uris: bool = False
    workers: int = 8
    per_upstream: int = 4
    bandwidth: int = 0
    patience: Patience = Patience()
    hashed: bool = False
    prove: bool = True
    dry_run: bool = False
    wait: bool = False
    credentials: Path | None = None
    endpoint: str | None = None


def make_state(state: Path) -> None:
    """Make the folder of a mirror's state; raises Fault."""
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(f"the folder cannot be made: {error.strerror}", where=str(state)) from None

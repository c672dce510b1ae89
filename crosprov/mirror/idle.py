"""The memory of a sync that found nothing to do: while all is as it was, so is the next one.

What a sync decides follows from what the trees need, what the store lists, what the ledger says
and a few options. When each of these is what it was, neither trees nor ledger are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from crosprov.mirror import memory, report_json
from crosprov.mirror.model import Needs
from crosprov.mirror.report import Report
from crosprov.mirror.sightings import sight
from crosprov.mirror.stores import Store, Stored
from crosprov.mirror.sync_options import Options

FILE = "nothing-to-do.json"
_TOLD = ("needed", "present", "unproven", "unknown", "left_out")
_COUNTER = slice(24, 28)  # of SQLite's file format: it counts the changes of the file


class Idle:
    """Remember a sync that found nothing to do, and tell whether this one would be the same."""

    def __init__(
        self,
        needs: Needs,
        store: Store,
        listing: Mapping[str, Stored],
        ledger: Path,
        options: Options,
    ) -> None:
        self._place = store.place
        self._ledger = ledger
        self._options = options
        self._path = options.state / FILE
        # With the hashed layout there are second names to look after, which nothing lists.
        self._may_be = bool(needs.mark) and not options.hashed
        self._given = self._question(needs.mark, listing) if self._may_be else ""

    def recall(self, began: float) -> Report | None:
        """Report on a sync that has nothing to do; None when that has to be found out."""
        facts = memory.recall(self._path) if self._may_be else None
        if facts is None or facts["key"] != self._key():
            return None
        ended, options = time.time(), self._options
        return Report(
            what="dry-run" if options.dry_run else "sync",
            mirror=self._place,
            began=began,
            ended=ended,
            last_good=report_json.last_good(options.state) if options.dry_run else ended,
            **facts["told"],
        )

    def keep(self, report: Report) -> None:
        """Remember a sync when it found nothing to do; the ledger has to be closed by then."""
        did = report.fetched or report.checked or report.remarks
        if self._may_be and report.is_good and not did:
            told = {name: getattr(report, name) for name in _TOLD}
            memory.keep(self._path, {"key": self._key(), "told": told})

    def _question(self, mark: str, listing: Mapping[str, Stored]) -> str:
        options = self._options
        choices = (mark, self._place, options.public, options.restricted, options.prove)
        files = sorted(f"{one.name}\0{one.size}\0{one.mark}\n" for one in listing.values())
        return memory.digest_of(
            repr(choices).encode(), "".join(files).encode(errors="surrogateescape")
        )

    def _key(self) -> str:
        """Name all that a sync depends on, with the ledger as it is at this moment."""
        beside = [f"{self._ledger}{ending}" for ending in ("", "-journal", "-wal")]
        try:
            with open(self._ledger, "rb") as file:
                counter = file.read(100)[_COUNTER]
        except OSError:
            counter = b""
        return memory.digest_of(self._given.encode(), sight(beside).mark.encode(), counter)

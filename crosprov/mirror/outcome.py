"""What a mirror's host is to know of its syncs, in files that a shell reads without trouble.

`outcome` holds what the last sync that ended brought here, and how many files it lacks; the time
of `good` is that of the last sync that lacked nothing; `progress` is how far the present one is.
`reasons` holds why the last one was not good, a line for each of the first files, and nothing
after a good one. `unclear` counts the places of the trees that do not say, or not prove, what they
need. `verified` holds how many findings of the last reading of all files still stand, and has its
time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from crosprov.mirror import giving_up, report_json
from crosprov.mirror.config import Config
from crosprov.mirror.findings import several
from crosprov.mirror.giving_up import REASONS as REASONS
from crosprov.mirror.giving_up import replace
from crosprov.mirror.report import Kind, Report, brief

OUTCOME, GOOD, PROGRESS, VERIFIED = "outcome", "good", "progress", "verified"
UNCLEAR = "unclear"
MOST_REASONS = 3

# A sync that lacks nothing looked at these again, where a tree needs the file.
_MENDED = frozenset({Kind.MISSING, Kind.REPLACED, Kind.IMMUTABLE})


def keep(config: Config, report: Report) -> None:
    """Note how a sync ended; one that gave up in the middle leaves no outcome. Raises OSError."""
    state = config.state_folder()
    if report.is_good:
        (state / GOOD).touch()
        _forget_mended(state, report.last_good)
    replace(state / REASONS, "".join(f"{line}\n" for line in reasons(report)))
    replace(state / UNCLEAR, f"{len(report.unclear)}\n")
    if report.stopped is None:
        lacking = len(report.failures) + report.untried
        replace(state / OUTCOME, f"{config.digest} {lacking}\n")
    giving_up.forget(state)


def reasons(report: Report) -> Iterator[str]:
    """Say in a few lines why a sync was not good."""
    if report.stopped is not None:
        yield f"it gave up: {' '.join(report.stopped.split())}"
    yield from map(brief, report.failures[:MOST_REASONS])
    further = len(report.failures) - MOST_REASONS
    if further > 0:
        yield f"and {several(further, 'further file')}"
    if report.untried:
        yield f"{several(report.untried, 'file')} not tried"


def keep_verified(config: Config, report: Report) -> None:
    """Note what a verification of all files found; one that gave up leaves nothing."""
    if report.stopped is None:
        state = config.state_folder()
        report_json.keep(report, state, report_json.LAST_VERIFIED)
        replace(state / VERIFIED, f"{len(report.failures) + report.untried}\n")


def standing(read: Mapping[str, Any], good: float | None) -> list[Mapping[str, Any]]:
    """Give the findings of a verification that no sync mended which was `good` since then."""
    found: list[Mapping[str, Any]] = read["failures"]
    if good is None or good <= float(read["ended"]):
        return found
    return [one for one in found if not one["needed_by"] or one["kind"] not in _MENDED]


def tell(state: Path, text: str) -> None:
    """Write how far a sync is; a full disk does not end it."""
    with suppress(OSError):
        replace(state / PROGRESS, text)


def _forget_mended(state: Path, good: float | None) -> None:
    """Count what still stands of the last verification, which keeps its time."""
    read = report_json.last_verified(state)
    if read is None or not read["failures"]:
        return
    path = state / VERIFIED
    with suppress(FileNotFoundError):
        when = path.stat().st_mtime_ns
        replace(path, f"{len(standing(read, good)) + read['untried']}\n")
        os.utime(path, ns=(when, when))

"""What a mirror's host is to know of its syncs, in files that a shell reads without trouble.

`outcome` holds what the last sync that ended brought here, and how many files it lacks; the time
of `good` is that of the last sync that lacked nothing; `progress` is how far the present one is.
`reasons` holds why the last one was not good, a line for each of the first files, and nothing
after a good one. `verified` holds how many findings the last reading of all files had, and has
its time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crosprov.mirror import report_json
from crosprov.mirror.config import Config
from crosprov.mirror.findings import several
from crosprov.mirror.report import Report, brief

OUTCOME, GOOD, PROGRESS, VERIFIED = "outcome", "good", "progress", "verified"
REASONS = "reasons"
MOST_REASONS = 3


def keep(config: Config, report: Report) -> None:
    """Note how a sync ended; one that gave up in the middle leaves no outcome."""
    state = config.state_folder()
    if report.is_good:
        (state / GOOD).touch()
    _replace(state / REASONS, "".join(f"{line}\n" for line in reasons(report)))
    if report.stopped is None:
        lacking = len(report.failures) + report.untried
        _replace(state / OUTCOME, f"{config.digest} {lacking}\n")


def reasons(report: Report) -> Iterator[str]:
    """Say in a few lines why a sync was not good."""
    if report.stopped is not None:
        yield f"it gave up: {' '.join(report.stopped.split())}"
    yield from map(brief, report.failures[:MOST_REASONS])
    further = len(report.failures) - MOST_REASONS
    if further > 0:
        yield f"and {several(further, 'further file')}"


def keep_verified(config: Config, report: Report) -> None:
    """Note what a verification of all files found; one that gave up leaves nothing."""
    if report.stopped is None:
        state = config.state_folder()
        report_json.keep(report, state, report_json.LAST_VERIFIED)
        _replace(state / VERIFIED, f"{len(report.failures) + report.untried}\n")


def tell(state: Path, text: str) -> None:
    """Write how far a sync is; a full disk does not end it."""
    with suppress(OSError):
        _replace(state / PROGRESS, text)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)

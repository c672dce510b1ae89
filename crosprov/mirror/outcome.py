"""What a mirror's host is to know of its syncs, in files that a shell reads without trouble.

`outcome` holds what the last sync that ended brought here, and how many files it lacks; the time
of `good` is that of the last sync that lacked nothing; `progress` is how far the present one is.
`verified` holds how many findings the last reading of all files had, and has its time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from crosprov.mirror import report_json
from crosprov.mirror.config import Config
from crosprov.mirror.report import Report

OUTCOME, GOOD, PROGRESS, VERIFIED = "outcome", "good", "progress", "verified"


def keep(config: Config, report: Report) -> None:
    """Note how a sync ended; one that gave up in the middle leaves no outcome."""
    state = config.state_folder()
    if report.is_good:
        (state / GOOD).touch()
    if report.stopped is None:
        lacking = len(report.failures) + report.untried
        _replace(state / OUTCOME, f"{config.digest} {lacking}\n")


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

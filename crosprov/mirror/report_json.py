"""Reports as JSON, for programs, and the last one that a mirror's sync kept."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crosprov.mirror.report import Failure, Kind, Report

VERSION = 1
LAST, LAST_VERIFIED = "last-sync.json", "last-verify.json"


def as_json(report: Report) -> dict[str, Any]:
    """Give a report as SCHEMA describes it."""
    fields = asdict(report)
    derived = {
        "good": report.is_good,
        "rate": round(report.rate, 1),
        "quarantine": [one.name for one in report.quarantine],
    }
    listed = {key: list(fields[key]) for key in ("planned", "remarks", "unclear")}
    fields["failures"] = [_failure(one) for one in report.failures]
    return {"version": VERSION, **fields, **listed, **derived}


def _failure(failure: Failure) -> dict[str, Any]:
    fields = asdict(failure)
    return fields | {key: list(fields[key]) for key in ("needed_by", "tried")}


def keep(report: Report, state: Path, name: str = LAST) -> None:
    """Write a report where `last_report` finds it, or `last_verified`, all at once."""
    path = state / name
    temporary = path.with_name(f".{name}-{os.getpid()}")
    temporary.write_text(json.dumps(as_json(report), indent=1) + "\n")
    os.replace(temporary, path)


def last_report(state: Path) -> dict[str, Any] | None:
    """Read what the last sync reported, as JSON; None when there is none that can be read."""
    return _read(state / LAST)


def last_verified(state: Path) -> dict[str, Any] | None:
    """Read what the last verification of all files reported, as `last_report` does."""
    return _read(state / LAST_VERIFIED)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("version") == VERSION else None


def harm_of(state: Path, name: str = LAST) -> str | None:
    """Say why a report that was kept tells nothing; None when there is none, or a good one."""
    path = state / name
    try:
        path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return f"{path} is damaged, or of another version" if _read(path) is None else None


def last_good(state: Path) -> float | None:
    """Tell when a sync last left nothing to be done; None when none ever did."""
    found = (last_report(state) or {}).get("last_good")
    return float(found) if isinstance(found, int | float) else None


_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Report of crosprov mirror sync and crosprov mirror verify",
    **_object(
        version={"const": VERSION},
        what={"enum": ["sync", "dry-run", "verify"]},
        mirror=_TEXT,
        began=_NUMBER,
        ended=_NUMBER,
        needed=_COUNT,
        present=_COUNT,
        fetched=_COUNT,
        fetched_bytes=_COUNT,
        planned=_list(_TEXT),
        planned_bytes=_COUNT,
        checked=_COUNT,
        checked_bytes=_COUNT,
        unproven=_COUNT,
        unknown=_COUNT,
        untried=_COUNT,
        stopped=_MAYBE,
        failures=_list(
            _object(
                name=_TEXT,
                size=_COUNT,
                kind={"enum": [str(kind) for kind in Kind]},
                sentence=_TEXT,
                hint=_MAYBE,
                needed_by=_list(_object(tree=_TEXT, package=_TEXT, ebuild=_TEXT, manifest=_TEXT)),
                tried=_list(_object(source=_TEXT, reason=_TEXT, sentence=_TEXT)),
            )
        ),
        left_out={"type": "object", "additionalProperties": _TEXT},
        remarks=_list(_TEXT),
        unclear=_list(_TEXT),
        last_good={"type": ["number", "null"]},
        good={"type": "boolean"},
        rate=_NUMBER,
        quarantine=_list(_TEXT),
    ),
}

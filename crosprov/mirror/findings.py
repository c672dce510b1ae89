"""What a check found: the findings, what an allow-list excused, and how a person reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosprov.mirror.model import Place, Remark


@dataclass(frozen=True, slots=True)
class Rule:
    """Hold a rule as data: its name, what it asks, what a breach is, what to do, where it stands.

    `sentence` and `hint` have the fields of a breach in braces; `heading` is the heading of
    the archive mirrors' policy under which the rule stands, `why` its reason.
    """

    id: str
    title: str
    sentence: str
    hint: str
    heading: str
    why: str

    def at(self, place: Place, subject: str = "", **fields: object) -> Finding:
        """Make a finding of this rule; `subject` is what it is about, such as a file's name."""
        values = {"subject": subject, **fields}
        return Finding(
            self.id, place, self.sentence.format(**values), self.hint.format(**values), subject
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what breaks which rule where; places are below the tree."""

    rule: str
    place: Place
    sentence: str
    hint: str
    subject: str = ""

    @property
    def order(self) -> tuple[str, int, str, str]:
        """Sort by place first, as a person mends a tree."""
        return (self.place.path, self.place.line, self.rule, self.subject)


@dataclass(frozen=True, slots=True)
class Excused:
    """Join a finding with the reason that the allow-list gives for it."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Hold the outcome of a check. `ran` names the rules looked at, `skipped` the others."""

    tree: str
    ebuilds: int
    files: int
    findings: tuple[Finding, ...]
    excused: tuple[Excused, ...]
    remarks: tuple[Remark, ...]
    ran: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """Give the exit status: 2 when anything was found, else 0."""
        return 2 if self.findings else 0

    def count(self) -> Mapping[str, int]:
        """Count the findings of each rule, the most frequent first."""
        return dict(Counter(finding.rule for finding in self.findings).most_common())


def to_text(report: Report) -> str:
    """Write a report for a person: a line each, its hint below it, and the counts at the end."""
    lines: list[str] = []
    for finding in report.findings:
        lines.append(f"{finding.place}: {finding.sentence} [{finding.rule}]")
        lines.append(f"    {finding.hint}")
    for remark in report.remarks:
        where = f"{remark.place}: " if remark.place else ""
        lines.append(f"note: {where}{remark.sentence}")
        if remark.hint:
            lines.append(f"    {remark.hint}")
    lines.append(_summary(report))
    return "\n".join(lines) + "\n"


def _summary(report: Report) -> str:
    looked = f"{several(report.ebuilds, 'ebuild')} and {several(report.files, 'file')}"
    if not report.findings:
        found = "nothing found"
    else:
        each = ", ".join(f"{count} {rule}" for rule, count in report.count().items())
        found = f"{several(len(report.findings), 'finding')} ({each})"
    excused = f", {len(report.excused)} allowed" if report.excused else ""
    skipped = f"; {several(len(report.skipped), 'rule')} not looked at" if report.skipped else ""
    return f"{report.tree}: {looked}: {found}{excused}{skipped}"


def several(count: int, thing: str) -> str:
    """Write a count with its noun."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def to_json(report: Report) -> str:
    """Write a report for a program, as SCHEMA describes it."""
    document = {
        "version": 1,
        "tree": report.tree,
        "ebuilds": report.ebuilds,
        "files": report.files,
        "rules": list(report.ran),
        "findings": [_finding(finding) for finding in report.findings],
        "allowed": [{**_finding(e.finding), "reason": e.reason} for e in report.excused],
        "remarks": [_remark(remark) for remark in report.remarks],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "path": finding.place.path,
        "line": finding.place.line,
        "subject": finding.subject,
        "sentence": finding.sentence,
        "hint": finding.hint,
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {
        "kind": remark.kind,
        "path": remark.place.path if remark.place else None,
        "line": remark.place.line if remark.place else 0,
        "sentence": remark.sentence,
        "hint": remark.hint,
    }


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_FINDING = {
    "rule": _TEXT,
    "path": _TEXT,
    "line": {**_COUNT, "description": "from one; 0 means the file as a whole"},
    "subject": {**_TEXT, "description": "what it is about, such as a file of a mirror"},
    "sentence": _TEXT,
    "hint": _TEXT,
}

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Findings of crosprov mirror check",
    **_object(
        {
            "version": {"const": 1},
            "tree": _TEXT,
            "ebuilds": _COUNT,
            "files": _COUNT,
            "rules": {"type": "array", "items": _TEXT},
            "findings": {"type": "array", "items": _object(_FINDING)},
            "allowed": {"type": "array", "items": _object({**_FINDING, "reason": _TEXT})},
            "remarks": {
                "type": "array",
                "items": _object(
                    {
                        "kind": _TEXT,
                        "path": {"type": ["string", "null"]},
                        "line": _COUNT,
                        "sentence": _TEXT,
                        "hint": {"type": ["string", "null"]},
                    }
                ),
            },
        }
    ),
}

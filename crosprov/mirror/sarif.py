"""Findings as SARIF 2.1.0 (OASIS), which code review and editors read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from crosprov.mirror.findings import Excused, Finding, Report, Rule
from crosprov.mirror.model import Remark

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "TREE"


def to_sarif(report: Report, rules: Mapping[str, Rule]) -> str:
    """Write a report; excused findings are there too, suppressed with their reason.

    Paths are relative to the tree, which a reader is told under the name TREE.
    """
    order = [*report.ran, *sorted({f.rule for f in report.findings} - set(report.ran))]
    index = {id_: at for at, id_ in enumerate(order)}
    results = [_result(finding, index) for finding in report.findings]
    results += [_suppressed(excused, index) for excused in report.excused]
    run = {
        "tool": {
            "driver": {
                "name": "crosprov mirror check",
                "rules": [_rule(rules[id_]) for id_ in order],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [_notification(r) for r in report.remarks],
            }
        ],
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": f"the top of the tree {report.tree}"}}
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    why = f"{rule.why} (The policy, under '{rule.heading}'.)" if rule.heading else rule.why
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": why},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, index: Mapping[str, int]) -> dict[str, Any]:
    identity = "\0".join((finding.rule, finding.place.path, finding.subject))
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": "error",
        "message": {"text": f"{finding.sentence}; {finding.hint}"},
        "locations": [_location(finding.place.path, finding.place.line)],
        "partialFingerprints": {
            "finding/v1": hashlib.sha256(identity.encode(errors="replace")).hexdigest()
        },
    }


def _suppressed(excused: Excused, index: Mapping[str, int]) -> dict[str, Any]:
    suppression = {"kind": "external", "justification": excused.reason}
    return {**_result(excused.finding, index), "suppressions": [suppression]}


def _notification(remark: Remark) -> dict[str, Any]:
    place = remark.place
    return {
        "level": "note",
        "message": {"text": "; ".join(filter(None, (remark.sentence, remark.hint)))},
        **({"locations": [_location(place.path, place.line)]} if place else {}),
    }


def _location(path: str, line: int) -> dict[str, Any]:
    uri: dict[str, Any] = {"uri": quote(path, safe="/", errors="surrogateescape")}
    if not path.startswith("/"):
        uri["uriBaseId"] = _ROOT
    region = {"region": {"startLine": line}} if line else {}
    return {"physicalLocation": {"artifactLocation": uri, **region}}

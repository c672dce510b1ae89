"""Revisions in SRC_URI: `${PF}`, `${PVR}` and `${PR}`, also by way of another variable."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.shell import Assignment
from crosprov.mirror.policy.subjects import Ebuild

_SUSPECT = re.compile(r"\bP(?:F|VR|R)\b")
_USED = re.compile(r"(?<!\\)\$(?:\{[!#]?)?([A-Za-z_]\w*)", re.ASCII)
_REVISIONS = frozenset({"PF", "PVR", "PR"})


def find_revisions(ebuild: Ebuild) -> Iterator[Finding]:
    """Find the assignments of SRC_URI that a revision gets into, and say by which variable."""
    if not _SUSPECT.search(ebuild.text):
        return
    tainted = _tainted(ebuild.assignments)
    for assignment in ebuild.assignments:
        if assignment.name != "SRC_URI":
            continue
        for found in _USED.finditer(assignment.value):
            by = found[1] if found[1] in _REVISIONS else tainted.get(found[1])
            if by:
                line = assignment.line + assignment.value.count("\n", 0, found.start())
                yield rules.NAME_REVISION.at(Place(ebuild.path, line), f"${{{by}}}")
                break


def _tainted(assignments: list[Assignment]) -> dict[str, str]:
    """Map the variables that hold a revision to the one that they have it from."""
    tainted: dict[str, str] = {}
    grown = True
    while grown:
        grown = False
        for assignment in assignments:
            if assignment.name in tainted or assignment.name in _REVISIONS:
                continue
            for name in _USED.findall(assignment.value):
                by = name if name in _REVISIONS else tainted.get(name)
                if by:
                    tainted[assignment.name] = by
                    grown = True
                    break
    return tainted

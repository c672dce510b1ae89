"""The allow-list: which findings are meant to be, where, and why. A TOML file such as

    [[allow]]
    rule = "name-version"
    path = "net-dialup/ppp/*"
    subject = "ppp-dhcpc.tgz"
    reason = "upstream gave it up in 2004; no other version will come"

`path` and `subject` are patterns of the shell's kind and may be left out, but not both; a rule
and a reason may not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from crosprov.mirror.findings import Excused, Finding
from crosprov.mirror.model import Fault, Place, Remark
from crosprov.mirror.policy.rules import ALLOW_LIST, RULES

_KEYS = ("rule", "path", "subject", "reason")
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*allow[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """Excuse the findings of a rule whose place and subject match."""

    place: Place
    rule: str
    path: str
    subject: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Tell whether it excuses a finding."""
        return (
            self.rule == finding.rule
            and fnmatchcase(finding.place.path, self.path)
            and fnmatchcase(finding.subject, self.subject)
        )


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hold the entries of a file that make sense, and findings about those that do not."""

    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class Sorted:
    """Hold findings apart: those that stand, those excused, and remarks about idle entries."""

    findings: list[Finding] = field(default_factory=list)
    excused: list[Excused] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def read_allow_list(path: Path, tree: Path | None = None) -> AllowList:
    """Read an allow-list; raises Fault when it cannot be read or is no TOML of this form.

    One that lies in the `tree` is named below it, as all places of a check are.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Fault(f"the allow-list cannot be read: {said}", where=str(path)) from None
    return parse_allow_list(text, str(path) if tree is None else _below(path, tree), str(path))


def _below(path: Path, tree: Path) -> str:
    full, top = path.resolve(), tree.resolve()
    return str(full.relative_to(top) if full.is_relative_to(top) else full)


def parse_allow_list(text: str, path: str, where: str | None = None) -> AllowList:
    """Read the text of an allow-list; raises Fault when it is no TOML of this form.

    `path` is how its places name it, `where` how a Fault does, if not the same.
    """
    where = where or path
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Fault(f"the allow-list is no TOML: {error}", where=where) from None
    given = document.get("allow", [])
    others = sorted(set(document) - {"allow"})
    if others or not isinstance(given, list) or not all(isinstance(e, dict) for e in given):
        what = f"{others[0]} is no part of it" if others else "allow is no list of tables"
        raise Fault(
            f"the allow-list has another form: {what}",
            hint="begin each entry with [[allow]]",
            where=where,
        )
    lines = [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]
    entries: list[Entry] = []
    findings: list[Finding] = []
    for at, fields in enumerate(given):
        place = Place(path, lines[at] if len(lines) == len(given) else 0)
        problem = _problem(fields)
        if problem:
            findings.append(ALLOW_LIST.at(place, problem=problem[0], advice=problem[1]))
        else:
            path_, subject = fields.get("path", "*"), fields.get("subject", "*")
            entries.append(Entry(place, fields["rule"], path_, subject, fields["reason"].strip()))
    return AllowList(tuple(entries), tuple(findings))


def _problem(fields: dict[str, object]) -> tuple[str, str] | None:
    """Say what is wrong with an entry, and what to do."""
    for key, value in fields.items():
        if key not in _KEYS:
            return f"{key} is no key of an entry", f"the keys are {', '.join(_KEYS)}"
        if not isinstance(value, str) or not value.strip():
            return f"{key} holds no text", "write it in quotes, and not empty"
    rule = str(fields.get("rule", ""))
    known = sorted(set(RULES) - {ALLOW_LIST.id})
    if rule not in known:
        near = get_close_matches(rule, known, 1)
        advice = f"{near[0]} is near" if near else f"the rules are {', '.join(known)}"
        return (f"there is no rule {rule}" if rule else "the entry names no rule"), advice
    if "reason" not in fields:
        return "the entry gives no reason", 'say why this is meant to be: reason = "…"'
    if "path" not in fields and "subject" not in fields:
        return (
            f"the entry would excuse all of {rule}",
            "say where, with path, or what, with subject",
        )
    return None


def sort_out(allowed: AllowList, findings: Iterable[Finding], ran: Sequence[str]) -> Sorted:
    """Put the excused findings apart; an entry that excuses nothing is remarked on.

    Nothing is said of entries whose rule is not in `ran`: it was not looked at this time.
    """
    result = Sorted(findings=list(allowed.findings))
    used: set[Entry] = set()
    for finding in findings:
        entry = next((entry for entry in allowed.entries if entry.covers(finding)), None)
        if entry is None:
            result.findings.append(finding)
        else:
            used.add(entry)
            result.excused.append(Excused(finding, entry.reason))
    for entry in allowed.entries:
        if entry not in used and entry.rule in ran:
            result.remarks.append(
                Remark("unused entry", entry.place, "the entry excuses nothing", "remove it")
            )
    return result

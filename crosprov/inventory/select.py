"""Choosing hosts: --limit and --role."""

from __future__ import annotations

from fnmatch import fnmatchcase

from crosprov import roles
from crosprov.errors import UsageError
from crosprov.inventory.findings import suggest
from crosprov.inventory.lab import Lab
from crosprov.inventory.ranges import RangeError, expand

ALL = "all"


def select(lab: Lab, limit: str | None = None, role: str | None = None) -> tuple[str, ...]:
    """Return the names of the chosen hosts, in the order of the file.

    `limit` is a list with commas: hosts, groups, ranges, globs, "all"; what has a ! in front
    is left out, wherever it stands. Raises UsageError for a pattern that matches nothing and
    when no host is left.
    """
    check_any_host(lab)
    chosen = _limited(lab, limit) if limit is not None else set(lab.hosts)
    if role is not None:
        _known_role(lab, role)
        chosen = {name for name in chosen if lab.hosts[name].plays(role)}
    if not chosen:
        asked = " and ".join(
            part for part in (limit and f"--limit {limit}", role and f"--role {role}") if part
        )
        raise UsageError(f"no host of {lab.name} is left by {asked or 'the whole lab'}")
    return tuple(name for name in lab.hosts if name in chosen)


def check_any_host(lab: Lab) -> None:
    """Raise UsageError when an inventory holds mirrors alone, and hosts are asked for."""
    if not lab.hosts:
        hint = "write hosts: {name: {…}}; only crosprov mirror and validate do without"
        raise UsageError(f"{lab.path} names no host", hint=hint)


def _limited(lab: Lab, limit: str) -> set[str]:
    patterns = [pattern.strip() for pattern in limit.split(",")]
    if not all(pattern.removeprefix("!") for pattern in patterns):
        hint = "write names, groups, ranges or globs with commas between: dut01,canary,!dev*"
        raise UsageError(f"--limit {limit!r} has an empty pattern", hint=hint)
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    chosen = {name for pattern in wanted or [ALL] for name in _matching(lab, pattern)}
    return chosen - {name for pattern in unwanted for name in _matching(lab, pattern)}


def _matching(lab: Lab, pattern: str) -> set[str]:
    if pattern == ALL:
        return set(lab.hosts)
    try:
        names = expand(pattern)
    except RangeError:
        names = (pattern,)
    found: set[str] = set()
    for name in names:
        if name in lab.groups:
            found.update(lab.groups[name])
            continue
        matching = {host for host in lab.hosts if fnmatchcase(host, name)}
        if not matching:
            known = [*lab.hosts, *lab.groups]
            hint = suggest(name, known) or f"known: {', '.join(known[:8])}"
            raise UsageError(f"{name} matches no host and no group of {lab.name}", hint=hint)
        found |= matching
    return found


def _known_role(lab: Lab, role: str) -> None:
    known = roles.available()
    if role not in known:
        hint = suggest(role, known) or f"known: {', '.join(known)}"
        raise UsageError(f"{role} is not a role", hint=hint)

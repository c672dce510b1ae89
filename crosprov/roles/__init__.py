"""Roles: what a host can be. A role is a module here that defines `Settings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pkgutil import iter_modules

from crosprov.roles.modules import load
from crosprov.roles.role import RoleSettings


@cache
def available() -> Mapping[str, type[RoleSettings]]:
    """Find every role, by name; the modules are the list.

    Raises CrosprovError when one of them cannot be imported.
    """
    found = {}
    for module in sorted(info.name for info in iter_modules(__path__)):
        settings = getattr(
            load(f"{__name__}.{module}", f"crosprov/roles/{module}.py"), "Settings", None
        )
        if settings is not None:
            found[module] = settings
    return found


def with_implied(roles: Collection[str]) -> tuple[str, ...]:
    """Add the roles that are implied, then put all in the order in which they are applied."""
    known = available()
    wanted: set[str] = set()
    waiting = sorted(roles)
    while waiting:
        role = waiting.pop()
        if role not in wanted:
            wanted.add(role)
            waiting += known[role].implies
    return _in_order(wanted)


def _in_order(roles: Collection[str]) -> tuple[str, ...]:
    """Sort so that every role stands behind those of its `after`; ties go by name."""
    known = available()
    left, ordered = sorted(roles), []
    while left:
        ready = [role for role in left if not set(known[role].after) & set(left)]
        if not ready:
            raise RuntimeError(f"roles wait for each other: {', '.join(left)}")
        ordered.append(ready[0])
        left.remove(ready[0])
    return tuple(ordered)

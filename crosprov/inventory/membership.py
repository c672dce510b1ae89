"""Which hosts are in which group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from crosprov.inventory.document import Mark
from crosprov.inventory.findings import Findings, suggest
from crosprov.inventory.outline import ALL, GroupOutline
from crosprov.inventory.ranges import RangeError, expand


def memberships(
    groups: Mapping[str, GroupOutline], hosts: Iterable[str], findings: Findings
) -> dict[str, tuple[str, ...]]:
    """Resolve the members of every group to hosts, in the order of the hosts.

    A member is a host, another group, a range or a glob. Unknown names and groups that hold
    each other are noted.
    """
    return _Membership(groups, tuple(hosts), findings).resolve()


class _Membership:
    def __init__(
        self, groups: Mapping[str, GroupOutline], hosts: tuple[str, ...], findings: Findings
    ) -> None:
        self._groups = groups
        self._hosts = hosts
        self._findings = findings
        self._done: dict[str, frozenset[str]] = {}
        self._open: list[str] = []

    def resolve(self) -> dict[str, tuple[str, ...]]:
        return {
            name: tuple(host for host in self._hosts if host in self._members(name))
            for name in self._groups
        }

    def _members(self, name: str) -> frozenset[str]:
        if name not in self._done:
            self._open.append(name)
            group, found = self._groups[name], set[str]()
            for written, mark in group.members:
                found |= self._member(name, written, mark)
            self._open.pop()
            self._done[name] = frozenset(found)
        return self._done[name]

    def _member(self, group: str, written: str, mark: Mark) -> frozenset[str]:
        field = f"groups.{group}.hosts"
        try:
            names = expand(written)
        except RangeError as error:
            self._findings.add(mark, error.message, field=field, hint=error.hint)
            return frozenset()
        found: set[str] = set()
        for name in names:
            if name in self._hosts:
                found.add(name)
            elif name in self._open:
                circle = " -> ".join([*self._open[self._open.index(name) :], name])
                self._findings.add(mark, f"makes a circle of groups: {circle}", field=field)
            elif name in self._groups:
                found |= self._members(name)
            else:
                found |= self._named(name, field, mark)
        return frozenset(found)

    def _named(self, name: str, field: str, mark: Mark) -> set[str]:
        if name == ALL:
            return set(self._hosts)
        matching = {host for host in self._hosts if fnmatchcase(host, name)}
        if not matching:
            hint = suggest(name, [*self._hosts, *self._groups])
            message = f"names {name}, which is neither a host nor a group"
            self._findings.add(mark, message, field=field, hint=hint)
        return matching

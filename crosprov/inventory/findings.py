"""Collecting every problem of a file, so that all are told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from crosprov.errors import InventoryError, Problem
from crosprov.inventory.document import Mark

Key = tuple[int, int, str, str, str | None]

HOSTS_NAMED = 3


def suggest(wrong: str, known: Iterable[str]) -> str | None:
    """Return "did you mean …?" for the nearest known word, or None when none is near."""
    near = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else None


@dataclass
class Findings:
    """Collect the problems of one file.

    A problem that a value of `defaults` or of a range causes on many hosts is one problem.
    """

    file: str
    _found: dict[Key, list[str]] = field(default_factory=dict)

    def add(
        self,
        mark: Mark,
        message: str,
        *,
        host: str | None = None,
        field: str = "",
        hint: str | None = None,
    ) -> None:
        """Note a problem."""
        hosts = self._found.setdefault((mark.line, mark.column, field, message, hint), [])
        if host is not None and host not in hosts:
            hosts.append(host)

    def __bool__(self) -> bool:
        return bool(self._found)

    def concern(self, *hosts: str) -> bool:
        """Tell whether a problem names one of these hosts."""
        return any(host in told for told in self._found.values() for host in hosts)

    def problems(self) -> tuple[Problem, ...]:
        """Return the problems in the order of the file."""
        by_place = sorted(self._found.items(), key=lambda found: found[0][:2])
        return tuple(
            Problem(self.file, line, column, _together(hosts), field, message, hint)
            for (line, column, field, message, hint), hosts in by_place
        )

    def raise_if_any(self) -> None:
        """Raise InventoryError when something was found."""
        if self:
            raise InventoryError(self.file, self.problems())


def _together(hosts: list[str]) -> str | None:
    if len(hosts) <= HOSTS_NAMED:
        return ", ".join(hosts) or None
    return f"{hosts[0]} and {len(hosts) - 1} more"

"""What a role is: a section of a host with settings, an order, ports and readiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from crosprov.inventory.section import Section


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask over HTTP whether a role is ready; the answer counts, not that a task ended."""

    url: str
    port: int
    path: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """Say that a role listens on a TCP port of its host, and which field says so."""

    port: int
    field: str
    what: str


@dataclass(frozen=True, slots=True)
class Objection:
    """Say what does not fit the roles of other hosts, and which field says so."""

    field: str
    message: str
    hint: str | None = None


class RoleSettings(Section):
    """Hold the settings of one role; a role's module names its subclass `Settings`.

    `alone`: no other role may be on the host.
    `after`: roles that are applied earlier when the host plays them too.
    `implies`: roles that the host then plays, with defaults when it has no section.
    `pairs_ranges`: whether the ranges of a host's name are paired with ranges in its values.
    """

    alone: ClassVar[bool] = False
    after: ClassVar[tuple[str, ...]] = ()
    implies: ClassVar[tuple[str, ...]] = ()
    pairs_ranges: ClassVar[bool] = True

    @classmethod
    def role(cls) -> str:
        """Return the name of the role: its module's."""
        return cls.__module__.rpartition(".")[2]

    def claims(self) -> tuple[Claim, ...]:
        """Return the TCP ports that the role listens on."""
        return ()

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Return the questions that a ready host answers."""
        return ()

    def objections(self, roles: Mapping[str, Mapping[str, RoleSettings]]) -> tuple[Objection, ...]:
        """Return what does not fit the roles, by their names, of the hosts that it names.

        A host that is not there, or does not play the role it is named for, is told elsewhere.
        """
        return ()

    def ports(self) -> dict[int, str]:
        """Return what listens on which TCP port."""
        return {claim.port: claim.what for claim in self.claims()}


def http_probe(address: str, port: int, path: str) -> Probe:
    """Make the probe of an HTTP service; an IPv6 address gets its brackets."""
    host = f"[{address}]" if ":" in address else address
    return Probe(f"http://{host}:{port}{path}", port, path)

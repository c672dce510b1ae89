"""The lab: what an inventory says once it is read, merged and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from crosprov.inventory.document import Array, Mark, Node, Table
from crosprov.inventory.mirror import Mirror
from crosprov.inventory.ssh import SshSettings
from crosprov.roles.role import RoleSettings
from crosprov.transport.base import SshTarget

SettingsT = TypeVar("SettingsT", bound=RoleSettings)


@dataclass(frozen=True, order=True, slots=True)
class Edge:
    """Say that a field of a host names another host, which must be ready first."""

    host: str
    field: str
    target: str


@dataclass(frozen=True)
class Host:
    """Hold one host; `roles` is in the order in which the roles are applied."""

    name: str
    ssh: SshSettings
    roles: Mapping[str, RoleSettings]
    groups: tuple[str, ...] = ()
    source: Table = field(default=Table({}, Mark(1, 1)), repr=False, compare=False)

    @property
    def address(self) -> str:
        """The address or DNS name that the host is reached at."""
        return self.ssh.host or self.name

    def plays(self, role: str) -> bool:
        """Tell whether the host plays a role."""
        return role in self.roles

    def settings(self, role: type[SettingsT]) -> SettingsT:
        """Return the host's settings of a role, typed.

        Raises LookupError when the host does not play it.
        """
        found = self.roles.get(role.role())
        if not isinstance(found, role):
            raise LookupError(f"host {self.name} does not play {role.role()}")
        return found

    def ssh_target(self) -> SshTarget:
        """Return how the transport reaches the host."""
        ssh = self.ssh
        return SshTarget(
            name=self.name,
            host=self.address,
            port=ssh.port,
            user=ssh.user,
            identity_file=str(ssh.identity_file) if ssh.identity_file else None,
            known_hosts=str(ssh.known_hosts) if ssh.known_hosts else None,
            proxy_jump=ssh.proxy_jump,
            sudo=ssh.sudo,
            connect_timeout=ssh.connect_timeout,
            command_timeout=ssh.command_timeout,
            local=ssh.local,
        )


@dataclass(frozen=True)
class Lab:
    """Hold a whole lab; hosts, groups and mirrors are in the order of the file."""

    name: str
    path: Path
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    mirrors: Mapping[str, Mirror]
    edges: tuple[Edge, ...] = ()

    @cached_property
    def referrers(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts that refer to each host."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.hosts}
        for edge in self.edges:
            found[edge.target][edge.host] = None
        return {name: tuple(hosts) for name, hosts in found.items()}

    @property
    def folder(self) -> Path:
        """The folder of the inventory, which its relative paths start from."""
        return self.path.parent

    @cached_property
    def targets(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts that each host refers to."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.hosts}
        for edge in self.edges:
            found[edge.host][edge.target] = None
        return {name: tuple(targets) for name, targets in found.items()}

    def origin(self, host: str, field: str) -> tuple[Path, int] | None:
        """Return the file and line that a host's value comes from; None for a default.

        `field` is a dotted path like dev_server.port. Raises KeyError for an unknown host.
        """
        mark = _origin(self.hosts[host].source, field.split("."))
        return (self.path, mark.line) if mark else None


def _origin(node: Node, steps: list[str]) -> Mark | None:
    """Follow dotted steps; a key may hold dots itself, so the longest key wins."""
    if not steps:
        return node.mark
    for length in range(len(steps), 0, -1):
        key = ".".join(steps[:length])
        child: Node | None = None
        if isinstance(node, Table):
            child = node.get(key)
        elif isinstance(node, Array) and key.isdigit() and int(key) < len(node.items):
            child = node.items[int(key)]
        if child is not None and (mark := _origin(child, steps[length:])):
            return mark
    return None

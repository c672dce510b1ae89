"""What a virtual lab is made from: names, addresses, and what each host is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address

from crosprov.errors import TwinError

MAX_HOSTS = 250

_LAB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class Kind(StrEnum):
    """How a twin is booted."""

    SERVER = "server"
    """systemd, apt, nested Docker."""
    DUT = "dut"
    """A read-only root with a stateful partition; sshd and imitated ChromiumOS tools."""
    LIGHT = "light"
    """sshd alone on a writable root; for benchmarks with many hosts."""


@dataclass(frozen=True, slots=True)
class TwinHost:
    """Name one host of the lab and the address under which the others know it.

    `address` is an IPv4 address or a host name; `board` matters on a DUT only.
    """

    name: str
    address: str
    kind: Kind
    user: str = "root"
    board: str = "amd64-generic"

    @property
    def ipv4(self) -> IPv4Address | None:
        """Return the address when it is IPv4, None when it is a host name."""
        try:
            return IPv4Address(self.address)
        except AddressValueError:
            return None


@dataclass(frozen=True, slots=True)
class TwinSpec:
    """Name a lab and its hosts; the order is the order in which they are listed."""

    lab: str
    hosts: tuple[TwinHost, ...]


def check(spec: TwinSpec) -> None:
    """Refuse a lab that cannot be booted as it is written.

    Raises TwinError for a name, user or address that no twin can have, for two hosts with
    one name or address, and for more hosts than a management network holds.
    """
    if not _LAB.fullmatch(spec.lab):
        raise TwinError(
            f"{spec.lab!r} cannot name a virtual lab",
            hint="use letters, digits, dots, underscores and hyphens, at most 63",
        )
    if not spec.hosts:
        raise TwinError(f"lab {spec.lab} has no hosts to boot")
    if len(spec.hosts) > MAX_HOSTS:
        raise TwinError(
            f"lab {spec.lab} has {len(spec.hosts)} hosts, a virtual lab holds {MAX_HOSTS}",
            hint="boot a part of it, chosen by --limit",
        )
    for host in spec.hosts:
        _check_host(host)
    _check_unique("name", [host.name for host in spec.hosts])
    _check_unique("address", [host.address for host in spec.hosts])


def _check_host(host: TwinHost) -> None:
    if not _NAME.fullmatch(host.name):
        raise TwinError(f"{host.name!r} cannot be the host name of a twin")
    if not _USER.fullmatch(host.user):
        raise TwinError(f"host {host.name}: {host.user!r} cannot be a user's name on a twin")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", host.board):
        raise TwinError(f"host {host.name}: {host.board!r} cannot be a board's name")
    address = host.ipv4
    if address is None:
        if not _NAME.fullmatch(host.address) or re.fullmatch(r"[0-9.]+", host.address):
            raise TwinError(
                f"host {host.name}: a twin cannot have the address {host.address!r}",
                hint="give an IPv4 address or a host name",
            )
    elif _is_special(address):
        raise TwinError(
            f"host {host.name}: a twin cannot have the address {address}",
            hint="give an address that one machine can have",
        )


def _is_special(address: IPv4Address) -> bool:
    return (
        address.is_loopback
        or address.is_multicast
        or address.is_unspecified
        or address.is_link_local
        or int(address) >> 28 == 0xF
    )


def _check_unique(what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise TwinError(f"two twins would have the {what} {value}")
        seen.add(value)

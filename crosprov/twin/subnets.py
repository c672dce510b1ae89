"""Choose addresses that are nobody's: a management network and lab addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from crosprov.errors import TwinError
from crosprov.twin.spec import TwinHost

_FIRST = int(IPv4Address("10.77.0.0"))
_COUNT = (127 - 77 + 1) * 256

# RFC 2544 sets 198.18.0.0/15 aside for test benches; no real lab answers there.
_BENCH = IPv4Network("198.18.0.0/15")


def free_subnet(seed: int, taken: Collection[IPv4Network]) -> IPv4Network:
    """Return a /24 of 10.77.0.0 to 10.127.255.0 that overlaps nothing taken.

    The search begins at a place given by `seed`, so that labs seldom meet.
    Raises TwinError when all are taken.
    """
    step = 0
    while step < _COUNT:
        place = (seed + step) % _COUNT
        subnet = IPv4Network((_FIRST + place * 256, 24))
        overlapping = [other for other in taken if subnet.overlaps(other)]
        if not overlapping:
            return subnet
        # Go on behind what is in the way, or at the range's beginning.
        behind = max((int(other[-1]) - _FIRST) // 256 for other in overlapping) + 1
        step += min(behind, _COUNT) - place
    raise TwinError(
        "no /24 is free between 10.77.0.0 and 10.127.255.0 for the twins' management network",
        hint="take down labs that are no longer needed",
    )


def routed_networks(routes: Iterable[Mapping[str, object]]) -> Iterator[IPv4Network]:
    """Yield the networks in the machine's routes (`ip -json route`), but not the default."""
    for route in routes:
        try:
            network = IPv4Network(str(route.get("dst")), strict=False)
        except ValueError:
            continue
        if network.prefixlen > 0:
            yield network


def lab_addresses(hosts: Iterable[TwinHost]) -> dict[str, IPv4Address]:
    """Give each host its address in the twins' own network, by name.

    An IPv4 address of the inventory is kept; a host known by name gets one that no other
    host has.
    """
    hosts = tuple(hosts)
    fixed = {host.ipv4 for host in hosts if host.ipv4 is not None}
    spare = (address for address in _BENCH.hosts() if address not in fixed)
    return {host.name: host.ipv4 or next(spare) for host in hosts}

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosprov.errors import TwinError
from crosprov.twin.spec import Kind, TwinHost
from crosprov.twin.subnets import free_subnet, lab_addresses, routed_networks

RANGE = IPv4Network("10.0.0.0/8")
networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(int(RANGE[0]), int(RANGE[-1])),
    st.integers(14, 32),
)


@settings(deadline=None)
@given(seed=st.integers(0, 0xFFFFFF), taken=st.lists(networks, max_size=5))
def test_the_subnet_overlaps_nothing_and_is_in_range(seed: int, taken: list[IPv4Network]) -> None:
    subnet = free_subnet(seed, taken)
    assert subnet.prefixlen == 24
    assert IPv4Address("10.77.0.0") <= subnet[0] <= IPv4Address("10.127.255.0")
    assert not any(subnet.overlaps(other) for other in taken)


def test_labs_with_one_seed_get_different_subnets() -> None:
    first = free_subnet(7, [])
    assert free_subnet(7, [first]) != first


def test_the_search_goes_round_the_end_of_the_range() -> None:
    taken = [IPv4Network("10.127.0.0/16"), IPv4Network("10.77.0.0/24")]
    assert free_subnet(50 * 256 + 200, taken) == IPv4Network("10.77.1.0/24")


def test_a_machine_without_a_free_subnet_is_told() -> None:
    with pytest.raises(TwinError, match="no /24 is free"):
        free_subnet(0, [IPv4Network("10.64.0.0/10")])


def test_routes_are_read_without_the_default() -> None:
    routes = [
        {"dst": "default"},
        {"dst": "0.0.0.0/0"},
        {"dst": "10.80.1.2"},
        {"dst": "10.81.0.0/16"},
    ]
    assert list(routed_networks(routes)) == [
        IPv4Network("10.80.1.2/32"),
        IPv4Network("10.81.0.0/16"),
    ]


def test_inventory_addresses_are_kept_and_names_get_one_of_their_own() -> None:
    hosts = [
        TwinHost("a", "198.18.0.1", Kind.LIGHT),
        TwinHost("b", "b.example.com", Kind.LIGHT),
        TwinHost("c", "c", Kind.LIGHT),
    ]
    addresses = lab_addresses(hosts)
    assert addresses["a"] == IPv4Address("198.18.0.1")
    assert len(set(addresses.values())) == 3

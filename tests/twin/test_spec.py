from __future__ import annotations

import pytest

from crosprov.errors import TwinError
from crosprov.twin.spec import MAX_HOSTS, Kind, TwinHost, TwinSpec, check


def host(name: str = "dev1", address: str = "10.0.0.6", **more: str) -> TwinHost:
    return TwinHost(name, address, Kind.SERVER, **more)


@pytest.mark.parametrize(
    "address", ["10.0.0.6", "192.0.2.1", "dev1.example.com", "dev1", "1password.example.com"]
)
def test_addresses_that_a_twin_can_have(address: str) -> None:
    check(TwinSpec("lab", (host(address=address),)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TwinSpec("lab", ()), "has no hosts"),
        (TwinSpec("../lab", (host(),)), "cannot name a virtual lab"),
        (TwinSpec("", (host(),)), "cannot name a virtual lab"),
        (TwinSpec("lab", (host(name="a/b"),)), "cannot be the host name"),
        (TwinSpec("lab", (host(name="-a"),)), "cannot be the host name"),
        (TwinSpec("lab", (host(name="a\n"),)), "cannot be the host name"),
        (TwinSpec("lab", (host(user="Root"),)), "cannot be a user's name"),
        (TwinSpec("lab", (host(user="a:b"),)), "cannot be a user's name"),
        (TwinSpec("lab", (host(board="eve\nX=1"),)), "cannot be a board's name"),
        (TwinSpec("lab", (host(address="fd00::1"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="10.0.0.256"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="10.0.0"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="127.0.0.1"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="0.0.0.0"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="224.0.0.1"),)), "cannot have the address"),
        (TwinSpec("lab", (host(address="255.255.255.255"),)), "cannot have the address"),
        (TwinSpec("lab", (host(), host(address="10.0.0.7"))), "two twins would have the name dev1"),
        (TwinSpec("lab", (host(), host(name="b"))), "two twins would have the address 10.0.0.6"),
    ],
)
def test_a_lab_that_cannot_be_booted_is_refused(spec: TwinSpec, message: str) -> None:
    with pytest.raises(TwinError, match=message):
        check(spec)


def test_a_lab_is_as_large_as_its_management_network() -> None:
    hosts = tuple(host(f"h{n}", f"10.0.{n >> 8}.{n & 255}") for n in range(MAX_HOSTS + 1))
    check(TwinSpec("lab", hosts[:-1]))
    with pytest.raises(TwinError, match="251 hosts") as caught:
        check(TwinSpec("lab", hosts))
    assert caught.value.hint

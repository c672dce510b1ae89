"""The two networks of a lab.

    this machine                        the twins
    bridge ct<id>b  -- veth ----------- mgmt0   10.x.y.n/24, the default route
    namespace ct<id>-switch
      bridge lab    -- veth ----------- lab0    the inventory's address, /32

The bridge between the twins lives in a namespace without any other link: this machine has
no route to inventory addresses there, so the real lab keeps its own. On each twin a host
route leads to every other twin, so a twin that is off is silent and never mistaken for the
real host behind the default route.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from crosprov.twin import firewall
from crosprov.twin.names import Names
from crosprov.twin.programs import ip_batch, run
from crosprov.twin.record import LabRecord, Seat


def build(names: Names, record: LabRecord, seats: Collection[Seat]) -> None:
    """Make what the lab shares, when missing, and fresh links for the given hosts."""
    if names.switch not in _namespaces():
        run("ip", "netns", "add", names.switch)
    if "lab" not in _links(names.switch):
        run("ip", "-n", names.switch, "link", "add", "lab", "type", "bridge")
    run("ip", "-n", names.switch, "link", "set", "lab", "up")
    if names.bridge not in _links():
        run("ip", "link", "add", names.bridge, "type", "bridge")
    gateway = f"{record.gateway}/{record.subnet.prefixlen}"
    run("ip", "address", "replace", gateway, "dev", names.bridge)
    run("ip", "link", "set", names.bridge, "up")
    firewall.open_for(names, record.subnet)
    _connect(names, record, seats)


def _connect(names: Names, record: LabRecord, seats: Collection[Seat]) -> None:
    _disconnect(names, seats)
    outside: list[str] = []
    for seat in seats:
        space, link = names.namespace(seat.number), names.link(seat.number)
        outside += (
            f"netns add {space}",
            f"link add {link} type veth peer name mgmt0 netns {space}"
            f" address {names.hardware(0, seat.number)}",
            f"link set {link} master {names.bridge} up",
            f"link add lab{seat.number} netns {names.switch} type veth"
            f" peer name lab0 netns {space} address {names.hardware(1, seat.number)}",
        )
    ip_batch(outside)
    ports = (f"link set lab{seat.number} master lab up" for seat in seats)
    ip_batch(ports, namespace=names.switch)
    for seat in seats:
        ip_batch(_inside(record, seat), namespace=names.namespace(seat.number))


def _inside(record: LabRecord, seat: Seat) -> list[str]:
    commands = [
        "link set lo up",
        f"address add {seat.management}/{record.subnet.prefixlen} dev mgmt0",
        f"address add {seat.lab_address}/32 dev lab0",
        "link set mgmt0 up",
        "link set lab0 up",
        f"route add default via {record.gateway} dev mgmt0",
    ]
    for other in record.seats:
        if other != seat:
            commands.append(f"route add {other.lab_address}/32 dev lab0 src {seat.lab_address}")
    return commands


def _disconnect(names: Names, seats: Collection[Seat]) -> None:
    # Pairs are deleted by name: their namespaces may be held open by other twins' mounts.
    links, ports, spaces = _links(), _links(names.switch), _namespaces()
    numbers = [seat.number for seat in seats]
    ip_batch(f"link delete {names.link(n)}" for n in numbers if names.link(n) in links)
    ip_batch((f"link delete lab{n}" for n in numbers if f"lab{n}" in ports), namespace=names.switch)
    ip_batch(f"netns delete {names.namespace(n)}" for n in numbers if names.namespace(n) in spaces)


def set_link(names: Names, seat: Seat, *, up: bool) -> None:
    """Plug a twin's management link in, or pull it out."""
    run("ip", "link", "set", names.link(seat.number), "up" if up else "down")


def remove(names: Names) -> None:
    """Remove every link, namespace and firewall rule of a lab; nothing there is fine."""
    firewall.close(names)
    if names.switch in _namespaces():
        ports = _links(names.switch) - {"lab", "lo"}
        ip_batch((f"link delete {port}" for port in ports), namespace=names.switch)
    ip_batch(f"link delete {link}" for link in _links() if names.owns(link))
    ip_batch(f"netns delete {space}" for space in _namespaces() if names.owns(space))


def remains(names: Names) -> bool:
    """Tell whether any link or namespace of the lab is there."""
    return any(map(names.owns, _links() | _namespaces()))


def _links(namespace: str | None = None) -> set[str]:
    where = ("-n", namespace) if namespace else ()
    return {str(link["ifname"]) for link in json.loads(run("ip", *where, "-json", "link"))}


def _namespaces() -> set[str]:
    listed = run("ip", "-json", "netns", "list").strip() or "[]"
    return {str(space["name"]) for space in json.loads(listed)}

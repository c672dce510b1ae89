"""What is remembered of a lab between `up` and `down`, in lab.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin.files import write_whole
from crosprov.twin.spec import Kind, TwinHost, TwinSpec

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Seat:
    """One host's place in the lab: its number and its two addresses."""

    host: TwinHost
    number: int
    lab_address: IPv4Address
    management: IPv4Address


@dataclass(frozen=True, slots=True)
class LabRecord:
    """A lab with its management network; this machine has the network's first address."""

    spec: TwinSpec
    subnet: IPv4Network
    lab_addresses: dict[str, IPv4Address]

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[1]

    @property
    def seats(self) -> tuple[Seat, ...]:
        """Return the hosts in their order, numbered from one."""
        return tuple(
            Seat(host, number, self.lab_addresses[host.name], self.subnet[number + 1])
            for number, host in enumerate(self.spec.hosts, start=1)
        )

    def seat(self, name: str) -> Seat:
        """Return the place of one host; raises TwinError when the lab has no such host."""
        for seat in self.seats:
            if seat.host.name == name:
                return seat
        raise TwinError(
            f"lab {self.spec.lab} has no twin named {name}",
            hint=f"it has {', '.join(host.name for host in self.spec.hosts)}; when the inventory "
            f"has others by now, take it down first: crosprov twin down {self.spec.lab}, "
            "then crosprov twin up",
        )


def save(path: Path, record: LabRecord) -> None:
    """Write the record whole."""
    value = {
        "format": _FORMAT,
        "lab": record.spec.lab,
        "subnet": str(record.subnet),
        "hosts": [
            asdict(seat.host) | {"lab_address": str(seat.lab_address)} for seat in record.seats
        ],
    }
    write_whole(path, json.dumps(value, indent=2).encode() + b"\n")


def load(path: Path) -> LabRecord | None:
    """Read the record; None when there is none.

    Raises TwinError when the file is not a record that this version wrote.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise _unreadable(path, "it is not JSON") from None
    try:
        if value["format"] != _FORMAT:
            raise _unreadable(path, f"it has format {value['format']}")
        addresses = {host["name"]: IPv4Address(host.pop("lab_address")) for host in value["hosts"]}
        hosts = tuple(TwinHost(**host | {"kind": Kind(host["kind"])}) for host in value["hosts"])
        subnet = IPv4Network(value["subnet"])
        return LabRecord(TwinSpec(value["lab"], hosts), subnet, addresses)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__} at {error}") from None


def _unreadable(path: Path, why: str) -> TwinError:
    return TwinError(
        f"{path} is not the record of a virtual lab that this version can read: {why}",
        hint="take the lab down; down needs no record",
    )

"""What labs share on this machine: management networks and IPv4 forwarding.

The registry is a directory under /run, so that it is as short-lived as the networks
themselves: after a reboot both are gone. One lock guards it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from crosprov.locks import locked
from crosprov.twin.files import write_whole
from crosprov.twin.names import Names
from crosprov.twin.programs import run
from crosprov.twin.subnets import free_subnet, routed_networks

_HOME = Path("/run/crosprov-twin")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Claim:
    """Say which lab has which management network."""

    id: str
    state_dir: Path
    subnet: IPv4Network


def claims() -> list[Claim]:
    """List the labs that have a management network on this machine."""
    return [claim for path in sorted(_HOME.glob("*.json")) if (claim := _read(path))]


def claim(
    names: Names,
    state_dir: Path,
    *,
    wanted: IPv4Network | None = None,
    avoid: frozenset[IPv4Network] = frozenset(),
) -> IPv4Network:
    """Give a lab a management network, its own again when it has one; switch forwarding on.

    `wanted` is taken when nobody has it. Networks in `avoid`, of other labs and in the
    machine's routes are not given. Raises TwinError when none is free.
    """
    with _guarded():
        others = {entry.id: entry.subnet for entry in claims()}
        mine = others.pop(names.id, None)
        if mine is None:
            routes = json.loads(run("ip", "-4", "-json", "route", "show", "table", "all"))
            taken = {*others.values(), *avoid, *routed_networks(routes)}
            free = wanted is not None and not any(wanted.overlaps(net) for net in taken)
            mine = wanted if free and wanted else free_subnet(int(names.id, 16), taken)
            entry = {"state_dir": str(state_dir), "subnet": str(mine)}
            write_whole(_HOME / f"{names.id}.json", json.dumps(entry).encode())
        _forwarding_on()
        return mine


def release(names: Names) -> None:
    """Give a lab's network back; the last lab switches forwarding off if a lab switched it on."""
    if not _HOME.is_dir():
        return
    with _guarded():
        (_HOME / f"{names.id}.json").unlink(missing_ok=True)
        before = _HOME / "ip_forward"
        if before.exists() and not claims():
            _FORWARD.write_text(before.read_text())
            before.unlink()


@contextmanager
def _guarded() -> Iterator[None]:
    with locked(_HOME / "lock"):
        yield


def _forwarding_on() -> None:
    value = _FORWARD.read_text().strip()
    if value == "0":
        write_whole(_HOME / "ip_forward", value.encode())
        _FORWARD.write_text("1")


def _read(path: Path) -> Claim | None:
    # A claim is written whole; one that cannot be read is being released right now.
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return Claim(path.stem, Path(value["state_dir"]), IPv4Network(value["subnet"]))

"""Make the virtual twin of a lab from its inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosprov.errors import TwinError
from crosprov.twin.lab import TwinLab
from crosprov.twin.spec import Kind, TwinHost, TwinSpec

if TYPE_CHECKING:
    from crosprov.inventory.lab import Host, Lab


def twin_lab(lab: Lab) -> TwinLab:
    """Give the twin of a lab, whether it is up or not."""
    return TwinLab(TwinSpec(lab.name, tuple(_twin_host(host) for host in lab.hosts.values())))


def twin_of(lab: Lab) -> TwinLab:
    """Give the twin of a lab that is up; raises TwinError when it is not."""
    twin = twin_lab(lab)
    running = {status.name for status in twin.list() if status.running}
    missing = [name for name in lab.hosts if name not in running]
    if missing:
        what = "is not up" if not running else f"does not run {', '.join(missing[:5])}"
        raise TwinError(
            f"the virtual twin of {lab.name} {what}",
            hint=f"crosprov twin up {lab.path} boots it",
        )
    return twin


def _twin_host(host: Host) -> TwinHost:
    if not host.plays("dut"):
        return TwinHost(host.name, host.address, Kind.SERVER, user=host.ssh.user)
    board = getattr(host.roles["dut"], "board", "amd64-generic")
    return TwinHost(host.name, host.address, Kind.DUT, user=host.ssh.user, board=board)

"""Make the virtual twin of a lab from its inventory."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from crosprov.errors import InventoryError, TwinError, UsageError
from crosprov.inventory.select import check_any_host
from crosprov.twin.lab import TwinLab, find_labs
from crosprov.twin.spec import Kind, TwinHost, TwinSpec

if TYPE_CHECKING:
    from crosprov.inventory.lab import Host, Lab

_BY_NAME = "crosprov twin down LAB, with a name that crosprov twin list shows"


def twin_lab(lab: Lab) -> TwinLab:
    """Give the twin of a lab, whether it is up or not; raises UsageError without any host."""
    check_any_host(lab)
    return TwinLab(TwinSpec(lab.name, tuple(_twin_host(host) for host in lab.hosts.values())))


def twin_of(lab: Lab) -> TwinLab:
    """Give the twin of a lab that is up; raises TwinError when none of its hosts runs.

    A host whose own twin is off is not reached, as a real one that is off.
    """
    twin = twin_lab(lab)
    if not any(status.running for status in twin.list()):
        raise TwinError(
            f"the virtual twin of {lab.name} is not up",
            hint=f"crosprov twin up {shlex.quote(str(lab.path))} boots it",
        )
    return twin


def booted(lab: Lab, host: str) -> TwinLab:
    """Give the twin of a lab as it was booted, the inventory may have changed since.

    Raises UsageError for a host that the inventory has not, TwinError for one that the
    twin has not.
    """
    if host not in lab.hosts:
        raise UsageError(f"{host} is no host of {lab.name}", hint=f"hosts: {', '.join(lab.hosts)}")
    twin = twin_lab(lab)
    known = twin.list()
    up = f"crosprov twin up {shlex.quote(str(lab.path))}"
    if not known:
        raise TwinError(f"the virtual twin of {lab.name} is not up", hint=f"{up} boots it")
    if host not in {status.name for status in known}:
        raise TwinError(
            f"the virtual twin of {lab.name} was booted without {host}",
            hint=f"take it down first: crosprov twin down {lab.name}, then {up}",
        )
    return TwinLab.at(twin.state_dir)


def twin_to_remove(name: str) -> TwinLab:
    """Find the twin of an inventory or of a lab's name, for its removal.

    An inventory that has problems by now still says which lab it is. Raises UsageError when
    there is neither a file nor a lab of that name, InventoryError when a file does not tell.
    """
    path = Path(name)
    if path.is_file():
        return _named(_lab_name(path))
    usual = _named(name)
    if usual.state_dir.exists():
        return usual
    labs = find_labs()
    for lab in labs:
        if name in (lab.spec.lab, lab.state_dir.name):
            return lab
    up = ", ".join(sorted({lab.spec.lab for lab in labs}))
    raise UsageError(
        f"{name} is neither an inventory nor a lab that is up",
        hint=f"labs that are up: {up}" if up else "no lab is up",
    )


def _named(lab: str) -> TwinLab:
    # Removal needs no more than the name.
    return TwinLab(TwinSpec(lab, ()))


def _lab_name(path: Path) -> str:
    from crosprov.inventory.document import Scalar, Table
    from crosprov.inventory.findings import Findings
    from crosprov.inventory.yaml import parse

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_BY_NAME) from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", hint=_BY_NAME) from None
    findings = Findings(str(path))
    root = parse(text, findings)
    node = root.get("lab") if isinstance(root, Table) else None
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    try:
        findings.raise_if_any()
    except InventoryError as error:
        error.hint = _BY_NAME
        raise
    raise UsageError(f"{path} does not say which lab it is", hint=_BY_NAME)


def _twin_host(host: Host) -> TwinHost:
    if not host.plays("dut"):
        return TwinHost(host.name, host.address, Kind.SERVER, user=host.ssh.user)
    board = getattr(host.roles["dut"], "board", "amd64-generic")
    return TwinHost(host.name, host.address, Kind.DUT, user=host.ssh.user, board=board)

"""Checks between hosts: addresses, ports, roles that do not go together, references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crosprov import roles
from crosprov.inventory.document import Entry, Mark, Path, Scalar, locate
from crosprov.inventory.fields import HostRef, MirrorRef
from crosprov.inventory.findings import Findings, suggest
from crosprov.inventory.lab import Edge, Host, Lab
from crosprov.inventory.mirror import Mirror
from crosprov.inventory.shape import Marker, references

SSH_PORT = 22


def check_addresses(lab: Lab, findings: Findings) -> None:
    """Note two hosts that are reached at one address and port."""
    first: dict[tuple[str, int], Host] = {}
    for host in lab.hosts.values():
        reached = (host.address.lower(), host.ssh.port or SSH_PORT)
        other = first.setdefault(reached, host)
        if other is not host:
            mark, line = _address_mark(host), _address_mark(other).line
            message = f"{reached[0]} port {reached[1]} is also the address of {other.name}"
            hint = f"{other.name} has it from line {line}"
            findings.add(mark, message, host=host.name, field="ssh.host", hint=hint)


def _address_mark(host: Host) -> Mark:
    return locate(host.source, ("ssh", "host"))[1]


def check_roles(lab: Lab, known: Mapping[str, tuple[str, ...]], findings: Findings) -> None:
    """Note hosts without a role, and roles that stand alone beside others.

    `known` holds the roles that each host was written with, valid or not.
    """
    for host in lab.hosts.values():
        played = known[host.name]
        if not played and not findings.concern(host.name):
            hint = f"give it a section: {', '.join(roles.available())}"
            findings.add(host.source.mark, "plays no role", host=host.name, hint=hint)
        for role in played:
            others = [other for other in played if other != role]
            if roles.available()[role].alone and others:
                mark = locate(host.source, (role,))[0]
                message = f"stands alone, but the host also plays {' and '.join(others)}"
                findings.add(mark, message, host=host.name, field=role, hint=_lines(host, others))


def _lines(host: Host, played: list[str]) -> str:
    lines = [f"{role} from line {locate(host.source, (role,))[0].line}" for role in played]
    return f"it has {', '.join(lines)}"


def check_ports(lab: Lab, findings: Findings) -> None:
    """Note two services of one host that would listen on one TCP port."""
    for host in lab.hosts.values():
        taken: dict[int, tuple[str, str]] = {}
        for role, settings in host.roles.items():
            for claim in settings.claims():
                field = f"{role}.{claim.field}"
                other_field, other = taken.setdefault(claim.port, (field, claim.what))
                if other != claim.what:
                    mark = locate(host.source, (role, *claim.field.split(".")))[1]
                    message = f"port {claim.port} of {claim.what} is also that of {other}"
                    hint = f"choose another port here or for {other_field}"
                    findings.add(mark, message, host=host.name, field=field, hint=hint)


def check_stores(lab: Lab, written: Mapping[str, Entry], findings: Findings) -> None:
    """Note two mirrors whose files would lie together: in a bucket, or a folder of one host.

    `written` holds the mirrors as the file has them.
    """
    holders: dict[str, list[str]] = {}
    for host, _, marker, reference in _references(lab):
        if isinstance(marker, MirrorRef):
            holders.setdefault(str(reference.value), []).append(host.name)
    first: dict[tuple[str, str], str] = {}
    for name, mirror in lab.mirrors.items():
        here = holders.get(name, []) if mirror.folder else []
        for holder in here or [""]:
            other = first.setdefault((holder, mirror.store), name)
            if other != name:
                mark = locate(written[name].node, ("store",))[1]
                message = f"is {mirror.store}, which is also the store of {other}"
                hint = "a store belongs to one mirror: give each a place of its own"
                findings.add(mark, message, field=f"mirrors.{name}.store", hint=hint)


def check_references(
    lab: Lab,
    known: Mapping[str, tuple[str, ...]],
    mirrors: Mapping[str, object],
    findings: Findings,
) -> tuple[Edge, ...]:
    """Note references that lead nowhere, and return those between two hosts."""
    edges = []
    for host, path, marker, written in _references(lab):
        field, target = ".".join(map(str, path)), str(written.value)
        if not isinstance(marker, HostRef):
            fault = _mirror_fault(target, mirrors, in_bucket=marker.in_bucket)
        elif (fault := _host_fault(target, marker.role, known)) is None and target != host.name:
            edges.append(Edge(host.name, field, target))
        if fault:
            findings.add(written.mark, fault[0], host=host.name, field=field, hint=fault[1])
    return tuple(edges)


def _references(lab: Lab) -> Iterator[tuple[Host, Path, Marker, Scalar]]:
    for host in lab.hosts.values():
        for role, tree in host.source.items():
            if model := roles.available().get(role):
                for path, marker, written in references(model, tree):
                    yield host, (role, *path), marker, written


def _host_fault(
    target: str, role: str, known: Mapping[str, tuple[str, ...]]
) -> tuple[str, str | None] | None:
    playing = [name for name, played in known.items() if role in played]
    if target not in known:
        return f"names {target}, which is not a host", suggest(target, playing or known)
    if role in known[target]:
        return None
    hint = f"hosts that play {role}: {', '.join(playing[:5]) or 'none'}"
    return f"names {target}, which does not play {role}", hint


def _mirror_fault(
    target: str, mirrors: Mapping[str, object], *, in_bucket: bool
) -> tuple[str, str | None] | None:
    if target not in mirrors:
        hint = suggest(target, mirrors) or f"known: {', '.join(mirrors) or 'none'}"
        return f"names {target}, which is not under mirrors", hint
    mirror = mirrors[target]
    if not isinstance(mirror, Mirror):
        return None
    if in_bucket != (mirror.folder is None):
        hint = "a folder is served" if in_bucket else "only a store in a folder can be served"
        other = "serves" if in_bucket else "fills"
        return f"names {target}, whose store is {mirror.store}", f"{hint}: write it under {other}"
    if in_bucket and not (mirror.synced and mirror.credentials):
        message = f"names {target}, which lacks what a sync needs"
        return message, "an automatic mirror with trees and credentials can be filled"
    return None


def check_objections(lab: Lab, findings: Findings) -> None:
    """Note what roles object to in the roles of other hosts."""
    played = {name: host.roles for name, host in lab.hosts.items()}
    for host in lab.hosts.values():
        for role, settings in host.roles.items():
            for one in settings.objections(played):
                field = f"{role}.{one.field}"
                mark = locate(host.source, tuple(field.split(".")))[1]
                findings.add(mark, one.message, host=host.name, field=field, hint=one.hint)


def check_circles(lab: Lab, findings: Findings) -> None:
    """Note hosts that wait for each other."""
    done: set[str] = set()
    for start in lab.hosts:
        circle = _circle(lab, start, [], done)
        if circle:
            edge = next(e for e in lab.edges if (e.host, e.target) == (circle[-2], circle[-1]))
            mark = locate(lab.hosts[edge.host].source, tuple(edge.field.split(".")))[1]
            message = f"makes a circle of references: {' -> '.join(circle)}"
            hint = "a host is set up after those it refers to, so one reference must go"
            findings.add(mark, message, host=edge.host, field=edge.field, hint=hint)


def _circle(lab: Lab, host: str, way: list[str], done: set[str]) -> list[str]:
    """Follow references until a host comes again; the circle starts and ends with it."""
    if host in way:
        return [*way[way.index(host) :], host]
    if host in done:
        return []
    for target in lab.targets[host]:
        if circle := _circle(lab, target, [*way, host], done):
            done.update(way, [host])
            return circle
    done.add(host)
    return []

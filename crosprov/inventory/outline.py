"""The outline of an inventory: its top level, before values are merged and typed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from crosprov import roles
from crosprov.inventory.document import Array, Entry, Mark, Node, Scalar, Table, kind
from crosprov.inventory.findings import Findings, suggest
from crosprov.inventory.layers import MisfitRange, paired, sections
from crosprov.inventory.names import host_fault, word_fault
from crosprov.inventory.ranges import RangeError, expand

TOP = ("lab", "defaults", "groups", "mirrors", "hosts")
ALL = "all"


@dataclass(frozen=True, slots=True)
class HostOutline:
    """Hold a host's name, the key that it was written as, and its own sections."""

    name: str
    key: str
    mark: Mark
    own: Table


@dataclass(frozen=True, slots=True)
class GroupOutline:
    """Hold a group: who is in it as written, and its sections."""

    name: str
    mark: Mark
    members: tuple[tuple[str, Mark], ...]
    values: Table


@dataclass(frozen=True, slots=True)
class Outline:
    """Hold the top level of an inventory."""

    lab: str
    defaults: Table
    groups: Mapping[str, GroupOutline]
    mirrors: Mapping[str, Entry]
    hosts: Mapping[str, HostOutline]


def section_names() -> tuple[str, ...]:
    """Return the sections that a host may have."""
    return ("ssh", *roles.available())


def outline(root: Node, findings: Findings) -> Outline | None:
    """Take the top level apart; None when there is nothing to go on with."""
    if not isinstance(root, Table):
        hint = f"the top level has the keys {', '.join(TOP)}"
        findings.add(root.mark, f"an inventory is a mapping, but this is {kind(root)}", hint=hint)
        return None
    for name, entry in root.entries.items():
        if name not in TOP:
            hint = suggest(name, TOP) or f"known here: {', '.join(TOP)}"
            findings.add(entry.mark, "is not a key of an inventory", field=name, hint=hint)
    known = section_names()
    mirrors = _named(root, "mirrors", findings)
    hosts = _hosts(root, known, findings, required=not mirrors)
    return Outline(
        lab=_lab(root, findings),
        defaults=sections(root.get("defaults"), known, findings, where="defaults"),
        groups=_groups(root, known, hosts, findings),
        mirrors=mirrors,
        hosts=hosts,
    )


def _lab(root: Table, findings: Findings) -> str:
    node = root.get("lab")
    if node is None:
        findings.add(root.mark, "is required", field="lab", hint="write lab: my-lab")
    elif not isinstance(node, Scalar) or not isinstance(node.value, str):
        findings.add(node.mark, f"must be text, but it is {kind(node)}", field="lab")
    elif fault := word_fault(node.value):
        findings.add(
            node.mark, fault, field="lab", hint=_lower(node.value, word_fault(node.value.lower()))
        )
    else:
        return node.value
    return ""


def _lower(name: str, fault: str | None) -> str | None:
    return f"write {name.lower()}" if fault is None else None


def _table(root: Table, name: str, findings: Findings) -> Table:
    node = root.get(name)
    if isinstance(node, Table):
        return node
    if node is not None and not (isinstance(node, Scalar) and node.value is None):
        findings.add(node.mark, f"must be a mapping, but it is {kind(node)}", field=name)
    return Table({}, root.mark)


def _named(root: Table, name: str, findings: Findings) -> dict[str, Entry]:
    """Take the entries of `groups` or `mirrors` whose names are names."""
    entries = {}
    for key, entry in _table(root, name, findings).entries.items():
        if fault := word_fault(key):
            hint = _lower(key, word_fault(key.lower()))
            findings.add(entry.mark, fault, field=f"{name}.{key}", hint=hint)
        entries[key] = entry
    return entries


def _hosts(
    root: Table, known: Collection[str], findings: Findings, *, required: bool
) -> dict[str, HostOutline]:
    """Take the hosts; an inventory of mirrors alone is for `crosprov mirror`, and needs none."""
    table = _table(root, "hosts", findings)
    entry = root.entries.get("hosts")
    if required and not table.entries and (entry is None or not isinstance(entry.node, Array)):
        mark = entry.mark if entry else root.mark
        findings.add(mark, "names no host", field="hosts", hint="write hosts: {name: {…}}")
    hosts: dict[str, HostOutline] = {}
    for key, entry in table.entries.items():
        for host in _expanded(key, entry, known, findings):
            if host.name in hosts:
                first = hosts[host.name]
                message = f"is already defined as {first.key} in line {first.mark.line}"
                findings.add(entry.mark, message, host=host.name)
            else:
                hosts[host.name] = host
    return hosts


def _expanded(
    key: str, entry: Entry, known: Collection[str], findings: Findings
) -> list[HostOutline]:
    try:
        names = expand(key)
    except RangeError as error:
        findings.add(entry.mark, error.message, host=key, hint=error.hint)
        return []
    if fault := host_fault(names[0]) or host_fault(names[-1]):
        hint = _lower(key, host_fault(names[0].lower()))
        findings.add(entry.mark, fault, host=key, hint=hint)
    own = sections(entry.node, known, findings, host=key)
    if key == names[0]:
        return [HostOutline(key, key, entry.mark, own)]
    return [
        HostOutline(name, key, entry.mark, _paired(key, own, place, len(names), findings))
        for place, name in enumerate(names)
    ]


def _paired(key: str, own: Table, place: int, count: int, findings: Findings) -> Table:
    """Pair the ranges of a host's sections; a section that does not fit is left out."""
    entries = {}
    for name, entry in own.entries.items():
        role = roles.available().get(name)
        try:
            pairs = role is None or role.pairs_ranges
            node = paired(entry.node, place, count, (name,)) if pairs else entry.node
            entries[name] = Entry(node, entry.mark)
        except MisfitRange as misfit:
            error, field = misfit.error, ".".join(map(str, misfit.path))
            findings.add(misfit.mark, error.message, host=key, field=field, hint=error.hint)
            entries[name] = Entry(Table({}, entry.mark), entry.mark)
    return Table(entries, own.mark)


def _groups(
    root: Table,
    known: Collection[str],
    hosts: Mapping[str, HostOutline],
    findings: Findings,
) -> dict[str, GroupOutline]:
    groups = {}
    for name, entry in _named(root, "groups", findings).items():
        field = f"groups.{name}"
        if name == ALL:
            findings.add(entry.mark, "is a name that stands for every host", field=field)
        elif name in hosts:
            line = hosts[name].mark.line
            findings.add(entry.mark, f"is also the name of a host, in line {line}", field=field)
        node = entry.node
        members: tuple[tuple[str, Mark], ...] = ()
        if isinstance(node, Table):
            members = _members(node, entry.mark, field, findings)
            rest = {key: value for key, value in node.entries.items() if key != "hosts"}
            node = Table(rest, node.mark)
        elif isinstance(node, Scalar) and node.value is None:
            _members(Table({}, node.mark), entry.mark, field, findings)
        values = sections(node, known, findings, where=field)
        groups[name] = GroupOutline(name, entry.mark, members, values)
    return groups


def _members(
    group: Table, mark: Mark, field: str, findings: Findings
) -> tuple[tuple[str, Mark], ...]:
    node = group.get("hosts")
    if node is None:
        hint = "write hosts: [dut01, dut02]"
        findings.add(mark, "is required", field=f"{field}.hosts", hint=hint)
        return ()
    if not isinstance(node, Array):
        hint = "write hosts: [dut01, dut02], also for a single one"
        message = f"must be a list, but it is {kind(node)}"
        findings.add(node.mark, message, field=f"{field}.hosts", hint=hint)
        return ()
    members = []
    for item in node.items:
        if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
            members.append((item.value, item.mark))
        else:
            findings.add(
                item.mark, f"must be a name, but it is {kind(item)}", field=f"{field}.hosts"
            )
    return tuple(members)

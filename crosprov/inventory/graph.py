"""The graph of a lab: waves of hosts, as text and as DOT."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from crosprov.inventory.lab import Edge, Host, Lab

ELLIPSIS = "…"

_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hold hosts of one wave that differ in their numbers only, like dut01…dut40."""

    hosts: tuple[Host, ...]
    targets: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name, or the first and the last."""
        return _ends([host.name for host in self.hosts])

    @property
    def address(self) -> str:
        """The address, or the first and the last."""
        return _ends([host.address for host in self.hosts])

    @property
    def roles(self) -> str:
        """The roles that all of them play."""
        return ", ".join(self.hosts[0].roles)

    @property
    def count(self) -> str:
        """How many hosts, in words."""
        return "1 host" if len(self.hosts) == 1 else f"{len(self.hosts)} hosts"


def _ends(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]}{ELLIPSIS}{texts[-1]}"


def waves(lab: Lab, chosen: Collection[str] | None = None) -> tuple[tuple[str, ...], ...]:
    """Return hosts in waves: every host stands in a later wave than those it refers to.

    Inside a wave hosts are in the order of the file. With `chosen`, references to other
    hosts do not count.
    """
    names = [name for name in lab.hosts if chosen is None or name in chosen]
    level: dict[str, int] = {}
    for name in names:
        _level(lab, name, frozenset(names), level)
    count = max(level.values(), default=-1) + 1
    return tuple(tuple(name for name in names if level[name] == wave) for wave in range(count))


def _level(lab: Lab, name: str, chosen: frozenset[str], level: dict[str, int]) -> int:
    if name not in level:
        targets = [target for target in lab.targets[name] if target in chosen]
        level[name] = 1 + max(
            (_level(lab, target, chosen, level) for target in targets), default=-1
        )
    return level[name]


def clusters(lab: Lab, chosen: Collection[str] | None = None) -> tuple[tuple[Cluster, ...], ...]:
    """Return the waves with similar neighbours put together."""
    return tuple(tuple(_clusters(lab, wave)) for wave in waves(lab, chosen))


def _clusters(lab: Lab, wave: Iterable[str]) -> Iterator[Cluster]:
    def likeness(name: str) -> object:
        host = lab.hosts[name]
        numbered = _NUMBERED.fullmatch(name)
        prefix = numbered.group(1) if numbered else name
        return prefix, tuple(host.roles), set(lab.targets[name]), set(lab.referrers[name])

    for _, names in groupby(wave, key=likeness):
        alike = list(names)
        yield Cluster(tuple(lab.hosts[name] for name in alike), lab.targets[alike[0]])


def as_text(lab: Lab, chosen: Collection[str] | None = None) -> str:
    """Render the waves as indented text."""
    lines = [f"{lab.name}: {_count(len(lab.hosts if chosen is None else chosen), 'host')}"]
    for number, wave in enumerate(clusters(lab, chosen), 1):
        lines += ["", f"wave {number}"]
        width = max(len(cluster.label) for cluster in wave)
        addresses = max(len(cluster.address) for cluster in wave)
        for cluster in wave:
            line = f"  {cluster.label:{width}}  {cluster.address:{addresses}}  {cluster.roles}"
            needs = f"  needs {', '.join(cluster.targets)}" if cluster.targets else ""
            lines.append(f"{line}{needs}".rstrip())
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_dot(lab: Lab, chosen: Collection[str] | None = None) -> str:
    """Render the graph in the language of Graphviz; arrows point at what is needed."""
    layout = clusters(lab, chosen)
    lines = [f"digraph {_quoted(lab.name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for number, wave in enumerate(layout, 1):
        lines.append(f"  subgraph {_quoted(f'wave {number}')} {{")
        lines.append("    rank=same;")
        for cluster in wave:
            label = "\n".join((cluster.label, cluster.address, cluster.roles))
            lines.append(f"    {_quoted(cluster.label)} [label={_quoted(label)}];")
        lines.append("  }")
    lines += [
        f"  {_quoted(source)} -> {_quoted(target)} [label={_quoted(field)}];"
        for source, field, target in arrows(lab, layout)
    ]
    return "\n".join([*lines, "}"]) + "\n"


def arrows(lab: Lab, layout: tuple[tuple[Cluster, ...], ...]) -> tuple[tuple[str, str, str], ...]:
    """Return the arrows between clusters: who needs, by which field, whom; each one once."""
    home = {host.name: each.label for wave in layout for each in wave for host in each.hosts}
    drawn: dict[tuple[str, str, str], Edge] = {}
    for edge in lab.edges:
        if edge.host in home and edge.target in home:
            drawn.setdefault((home[edge.host], edge.field, home[edge.target]), edge)
    return tuple(drawn)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

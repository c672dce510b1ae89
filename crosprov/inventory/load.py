"""Loading: from a file to a lab, or to every problem of the file at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from crosprov import roles
from crosprov.errors import UsageError
from crosprov.inventory import checks
from crosprov.inventory.document import Mark, Node, Table, locate, plain
from crosprov.inventory.document import Path as KeyPath
from crosprov.inventory.findings import Findings
from crosprov.inventory.lab import Host, Lab
from crosprov.inventory.layers import merge
from crosprov.inventory.membership import memberships
from crosprov.inventory.mirror import Mirror
from crosprov.inventory.outline import HostOutline, Outline, outline
from crosprov.inventory.section import Section
from crosprov.inventory.sentences import sentence
from crosprov.inventory.ssh import SshSettings
from crosprov.inventory.yaml import parse
from crosprov.roles.role import RoleSettings

SectionT = TypeVar("SectionT", bound=Section)


def load_lab(path: Path) -> Lab:
    """Read an inventory.

    Raises UsageError when the file cannot be read, InventoryError with every problem that
    it has.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        hint = "crosprov init DIR writes an inventory to start from"
        raise UsageError(f"{path} does not exist", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    findings = Findings(str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        findings.add(Mark(line, 1), "is not UTF-8 text", hint="save the file as UTF-8")
        findings.raise_if_any()
        raise
    return read_lab(text, path, findings)


def read_lab(text: str, path: Path, findings: Findings | None = None) -> Lab:
    """Make a lab of the text of an inventory; `path` is where relative paths start.

    Raises InventoryError with every problem that the text has.
    """
    findings = findings or Findings(str(path))
    root = parse(text, findings)
    if root is None and not findings:
        hint = "crosprov init DIR writes an inventory to start from"
        findings.add(Mark(1, 1), "the file is empty", hint=hint)
    sketch = outline(root, findings) if root is not None else None
    lab = _Builder(sketch, path, findings).lab() if sketch else None
    findings.raise_if_any()
    if lab is None:
        raise RuntimeError("a lab without findings was not built")
    return lab


class _Builder:
    """Make the typed lab of an outline, noting what is wrong on the way."""

    def __init__(self, sketch: Outline, path: Path, findings: Findings) -> None:
        self._sketch = sketch
        self._path = path
        self._findings = findings
        self._folder = path.parent.absolute()

    def lab(self) -> Lab:
        """Type every section, then check what lies between hosts."""
        sketch = self._sketch
        groups = memberships(sketch.groups, sketch.hosts, self._findings)
        trees = {name: self._tree(host, groups) for name, host in sketch.hosts.items()}
        mirrors = self._mirrors()
        hosts = {name: self._host(name, trees[name], groups) for name in sketch.hosts}
        lab = Lab(
            sketch.lab,
            self._path,
            hosts,
            groups,
            {name: mirror for name, mirror in mirrors.items() if mirror},
        )
        return self._checked(lab, trees, mirrors)

    def _checked(self, lab: Lab, trees: Mapping[str, Table], mirrors: Mapping[str, object]) -> Lab:
        played = {name: roles.with_implied(_roles(tree)) for name, tree in trees.items()}
        written = {name: _roles(tree) for name, tree in trees.items()}
        checks.check_addresses(lab, self._findings)
        checks.check_roles(lab, written, self._findings)
        checks.check_ports(lab, self._findings)
        checks.check_stores(lab, self._sketch.mirrors, self._findings)
        edges = checks.check_references(lab, played, mirrors, self._findings)
        lab = replace(lab, edges=edges)
        checks.check_objections(lab, self._findings)
        checks.check_circles(lab, self._findings)
        return lab

    def _tree(self, host: HostOutline, groups: Mapping[str, tuple[str, ...]]) -> Table:
        joined = (name for name, members in groups.items() if host.name in members)
        values = (self._sketch.groups[name].values for name in joined)
        tree = merge([self._sketch.defaults, *values, host.own])
        return Table(tree.entries, host.mark)

    def _mirrors(self) -> dict[str, Mirror | None]:
        return {
            name: self._section(Mirror, entry.node, ("mirrors", name), entry.mark)
            for name, entry in self._sketch.mirrors.items()
        }

    def _host(self, name: str, tree: Table, groups: Mapping[str, tuple[str, ...]]) -> Host:
        ssh = self._section(SshSettings, tree.get("ssh"), ("ssh",), tree.mark, name)
        played: dict[str, RoleSettings] = {}
        for role in roles.with_implied(_roles(tree)):
            model = roles.available()[role]
            entry = tree.entries.get(role)
            mark = entry.mark if entry else tree.mark
            settings = self._section(model, tree.get(role), (role,), mark, name)
            if settings is not None:
                played[role] = settings
        joined = tuple(group for group, members in groups.items() if name in members)
        return Host(name, ssh or SshSettings(), played, joined, tree)

    def _section(
        self,
        model: type[SectionT],
        node: Node | None,
        where: tuple[str, ...],
        mark: Mark,
        host: str | None = None,
    ) -> SectionT | None:
        """Type one section; None when it has problems, which are noted."""
        tree: Node = node if node is not None else Table({}, mark)
        try:
            return model.model_validate(plain(tree), context={"folder": self._folder})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                said = sentence(detail, model, tree)
                key, value = locate(tree, said.path)
                if not _is_written(tree, said.path):
                    key = mark
                place = key if said.on_key else value
                field = ".".join(map(str, (*where, *said.path)))
                self._findings.add(place, said.message, host=host, field=field, hint=said.hint)
        return None


def _is_written(tree: Node, path: KeyPath) -> bool:
    """Tell whether a path leads to something that is there, at least with its first step."""
    match tree, path:
        case Table(), (str(key), *_):
            return key in tree.entries
        case _:
            return bool(path)


def _roles(tree: Table) -> tuple[str, ...]:
    return tuple(name for name in tree.entries if name in roles.available())

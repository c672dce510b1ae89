"""Where the secrets of an inventory are asked for, and whether each of them can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from crosprov.errors import SecretError
from crosprov.inventory.document import Path, locate
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.findings import Findings
from crosprov.inventory.section import Section
from crosprov.secrets import Reference, Vault

if TYPE_CHECKING:
    from crosprov.inventory.lab import Lab


def check_secrets(lab: Lab, hosts: Iterable[str], vault: Vault) -> None:
    """Read the secrets that the roles of these hosts name, each one once.

    Raises InventoryError with every reference that leads to nothing, where it stands.
    """
    findings = Findings(str(lab.path))
    for name in hosts:
        host = lab.hosts[name]
        for path, reference in secrets_in(host.roles):
            try:
                vault.read(worded(reference), lab.folder)
            except SecretError as error:
                mark, field = locate(host.source, path)[1], ".".join(map(str, path))
                findings.add(mark, error.message, host=name, field=field, hint=error.hint)
    findings.raise_if_any()


def secrets_in(value: object, path: Path = ()) -> Iterator[tuple[Path, SecretRef]]:
    """Find the references to secrets in settings; what shall be absent needs none."""
    if isinstance(value, SecretRef):
        yield path, value
    elif isinstance(value, Section):
        if not getattr(value, "absent", False):
            for name in type(value).model_fields:
                yield from secrets_in(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_in(inner, (*path, key))
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from secrets_in(inner, (*path, place))


def worded(reference: SecretRef) -> Reference:
    """Give a reference as the vault takes it."""
    if reference.env is not None:
        return {"env": reference.env}
    if reference.file is not None:
        return {"file": str(reference.file)}
    command = reference.command or ""
    return {"command": command if isinstance(command, str) else list(command)}

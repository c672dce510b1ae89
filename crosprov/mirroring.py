"""Mirrors of an inventory as their program knows them: the same structure on hosts and here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crosprov.deploying import base_url, secret
from crosprov.errors import UsageError
from crosprov.inventory.findings import suggest
from crosprov.inventory.lab import Host, Lab
from crosprov.inventory.load import load_lab
from crosprov.inventory.mirror import TreeOfPackages
from crosprov.mirror.config import Config, Limits, TreeSource
from crosprov.mirror.hosts import Reader
from crosprov.mirror.presets import PRESETS
from crosprov.mirror.selection import state_of
from crosprov.roles import mirror
from crosprov.secrets import vault


def config_of(
    lab: Lab,
    name: str,
    *,
    server: Host | None = None,
    credentials: str | Path | None = None,
    state: str | Path | None = None,
) -> Config:
    """Make the configuration of a mirror of an inventory.

    `server` is the host that serves it, where it is one; `credentials` and `state` are paths of
    the machine that the configuration is for.
    """
    described = lab.mirrors[name]
    preset = PRESETS[described.preset] if described.preset else None
    reading = preset.address if preset and preset.address.startswith("http") else None
    if server is not None:
        port = server.settings(mirror.Settings).port
        reading = f"{base_url(server.address, port)}/{name}/distfiles"
    return Config(
        name=name,
        store=described.store,
        kind=described.kind,
        visibility=described.visibility,
        upstreams=described.upstreams,
        trees=tuple(map(_source_of, described.trees)),
        source_uris=described.source_uris,
        hashed=described.layout == "hashed",
        limits=Limits(**described.limits.model_dump()) if described.limits else Limits(),
        credentials=Path(credentials) if credentials else None,
        endpoint=described.storage_endpoint,
        reading=reading,
        filled_by_us=preset.filled_by_us if preset else True,
        state=Path(state) if state else None,
    )


def _source_of(tree: TreeOfPackages) -> TreeSource:
    return TreeSource(
        path=Path(tree.path) if tree.path else None,
        git=tree.git,
        branch=tree.branch,
        public=tree.public,
        masters=tuple(map(Path, tree.masters)),
    )


class InventoryMirrors:
    """Read mirrors out of inventories, for the mirror's program on this machine."""

    def names(self, inventory: Path) -> tuple[str, ...]:
        """Name the mirrors of an inventory; raises what `load_lab` raises."""
        return tuple(load_lab(inventory).mirrors)

    def open(
        self, inventory: Path, name: str, *, twin: bool = False
    ) -> AbstractContextManager[Config]:
        """Give the configuration of a mirror; see `config_here`."""
        return config_here(inventory, name, twin=twin)


@contextmanager
def config_here(inventory: Path, name: str, *, twin: bool = False) -> Iterator[Config]:
    """Give the configuration of a mirror of an inventory file, for use on this machine.

    A folder that a host serves is reached through it, or with `twin` through its twin.
    Credentials that are no file stand in a private one until the end of the block. Raises
    UsageError for a mirror that is not in the inventory, and what `load_lab` raises.
    """
    lab = load_lab(inventory)
    described = lab.mirrors.get(name)
    if described is None:
        hint = suggest(name, lab.mirrors) or f"it has {', '.join(lab.mirrors) or 'none'}"
        raise UsageError(f"{inventory} has no mirror {name}", hint=hint)
    server = next((host for host in lab.hosts.values() if _serves(host, name)), None)
    state = state_of(described.store, lab.name)
    with ExitStack() as stack:
        credentials = None
        if described.credentials is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="crosprov-"))
            credentials = Path(folder, "credentials")
            content = revealed(secret(lab, described.credentials))
            with open(os.open(credentials, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content.encode())
        config = config_of(lab, name, server=server, credentials=credentials, state=state)
        if server is not None:
            config = stack.enter_context(_on_its_host(lab, server, config, twin=twin))
        yield config


@contextmanager
def _on_its_host(lab: Lab, server: Host, config: Config, *, twin: bool) -> Iterator[Config]:
    """Add to a configuration how the host is reached, and as whom its files are read."""
    from crosprov.mirror_host import reached

    settings = server.settings(mirror.Settings)
    syncs = lab.mirrors[config.name].synced
    with reached(lab, server.name, config.name, config.store, syncs=syncs, twin=twin) as (
        host,
        address,
    ):
        reader = None
        if config.visibility == "private" and settings.readers:
            name, reference = next(iter(settings.readers.items()))
            reader = Reader(name, revealed(secret(lab, reference)))
        reading = f"{base_url(address, settings.port)}/{config.name}/distfiles"
        yield replace(config, host=host, reader=reader, reading=reading)


def revealed(token: str) -> str:
    """Give a secret's value, for a use on this machine."""
    return vault.reveal(token.encode()).decode()


def _serves(host: Host, name: str) -> bool:
    return host.plays("mirror") and name in host.settings(mirror.Settings).serves

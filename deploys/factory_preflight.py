"""See whether a host can be a factory server; a part of the deploy `factory_server`."""

from __future__ import annotations

import os

from crosprov.factory.preflight import Claimed, Intent
from crosprov.facts.container_names import DISCOVERY, DOME, OVERLORD, umpire_of
from crosprov.facts.docker import DATA_ROOT
from crosprov.inventory.lab import Host, Lab
from crosprov.operations.deployment_script import Source, goal_of, installed
from crosprov.operations.preflight import factory_host
from crosprov.roles import docker
from crosprov.roles.factory_server import Settings

_UPLOADED = 3  # times a resource bundle: as it is uploaded, as Dome keeps it, as Umpire unpacks it


def check(lab: Lab, host: Host, wanted: Settings) -> None:
    """Refuse a host that lacks what the factory server needs, and warn of what it should have."""
    root = host.settings(docker.Settings).data_root or DATA_ROOT
    projects = [name for name, project in wanted.projects.items() if not project.absent]
    own = (*DOME, OVERLORD, DISCOVERY, *map(umpire_of, wanted.projects))
    intent = Intent(
        profile=wanted.profile,
        shared_dir=wanted.shared_dir,
        docker_root=root,
        ports=tuple(
            Claimed(claim.port, claim.what, f"factory_server.{claim.field}")
            for claim in wanted.claims()
        ),
        loads={wanted.shared_dir: sum(_bundle(wanted, name) for name in projects)},
        own=frozenset(own),
    )

    def load() -> tuple[str, int] | None:
        goal = goal_of(wanted, installed(wanted))
        if goal.source is not Source.ARCHIVE or goal.image is None:
            return None
        return wanted.script_dir, goal.image.size

    factory_host(intent, places=(wanted.shared_dir, root, wanted.script_dir), load=load)


def _bundle(wanted: Settings, project: str) -> int:
    """Give what a project's resource bundle may need; nothing when it cannot be read here."""
    bundle = wanted.projects[project].bundle
    try:
        return 0 if bundle is None else _UPLOADED * os.stat(bundle.file).st_size
    except OSError:
        return 0

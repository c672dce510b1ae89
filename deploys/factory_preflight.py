"""See whether a host can be a factory server; a part of the deploy `factory_server`."""

from __future__ import annotations

from collections import Counter

from crosprov.deploys.factory_projects import bundle_of

from crosprov.factory.preflight import Claimed, Intent
from crosprov.facts.container_names import DISCOVERY, DOME, OVERLORD, TFTP, umpire_of
from crosprov.facts.docker import DATA_ROOT
from crosprov.inventory.lab import Host, Lab
from crosprov.operations.deployment_script import Source, goal_of, installed
from crosprov.operations.effects import state_dir
from crosprov.operations.image_script import UNPACKED
from crosprov.operations.preflight import factory_host
from crosprov.operations.resource_bundles import unsent
from crosprov.roles import docker
from crosprov.roles.factory_server import Settings

_TFTP = Claimed(69, "TFTP", "factory_server.tftp", udp_of=TFTP)
_ARRIVES = 2  # times a resource bundle: as it arrives, and as it is handed to Dome
_TAKEN_IN = 2  # times: as Umpire unpacks it, and as the resources that Umpire keeps


def check(lab: Lab, host: Host, wanted: Settings) -> None:
    """Refuse a host that lacks what the factory server needs, and warn of what it should have."""
    root = host.settings(docker.Settings).data_root or DATA_ROOT
    own = (*DOME, OVERLORD, DISCOVERY, *map(umpire_of, wanted.projects))
    intent = Intent(
        profile=wanted.profile,
        shared_dir=wanted.shared_dir,
        docker_root=root,
        ports=(
            *(
                Claimed(one.port, one.what, f"factory_server.{one.field}")
                for one in wanted.claims()
            ),
            *((_TFTP,) if wanted.tftp else ()),
        ),
        own=frozenset(own),
    )
    places = (wanted.shared_dir, root, wanted.script_dir, state_dir())
    factory_host(intent, places=places, load=lambda: _coming(wanted, root))


def _coming(wanted: Settings, root: str) -> Counter[str]:
    """Add up the bytes that come to each folder; raises PlanError as what brings them."""
    coming: Counter[str] = Counter()
    goal = goal_of(wanted, installed(wanted))
    if goal.source is Source.ARCHIVE and goal.image is not None:
        coming[state_dir()] += goal.image.size  # as it arrives
        coming[wanted.script_dir] += goal.image.size
        coming[root] += UNPACKED * goal.image.size
    for name, project in wanted.projects.items():
        if project.bundle is not None and project.enabled and not project.absent:
            size = unsent(name, bundle_of(project.bundle))
            coming[state_dir()] += _ARRIVES * size
            coming[root] += size  # as Dome takes it
            coming[wanted.shared_dir] += _TAKEN_IN * size
    return coming

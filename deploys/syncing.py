"""Sync the mirrors of a host: one program, and for each a confined service and a timer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from crosprov import wheelhouse
from crosprov.deploying import secret
from crosprov.inventory.lab import Host, Lab
from crosprov.inventory.mirror import Mirror
from crosprov.mirror.config_file import written
from crosprov.mirroring import config_of
from crosprov.operations import files
from crosprov.operations.environments import environment, only_environment
from crosprov.operations.mirrors import CONFIGURATIONS, STATES, UNITS, first_sync
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import user
from crosprov.roles import mirror
from crosprov.templating import render
from crosprov.wheels import MIRROR

ACCOUNT = "crosprov-mirror"
ENVIRONMENTS = "/usr/lib/crosprov/mirror"


def prepare(lab: Lab, names: Sequence[str]) -> None:
    """Bring what syncs need of the host: programs, and the account that owns the stores."""
    wanted = [lab.mirrors[name] for name in names]
    needed = ["python3"]
    if any(tree.git for one in wanted for tree in one.trees):
        needed += ["git", "ca-certificates"]
    if any(place.startswith("rsync://") for one in wanted for place in one.upstreams):
        needed.append("rsync")
    packages(needed)
    user(ACCOUNT, shell="/usr/sbin/nologin", home="/nonexistent", system=True)


def sync(lab: Lab, host: Host, settings: mirror.Settings, names: Sequence[str]) -> None:
    """Have each mirror synced now and then, and once at first."""
    folder = f"{ENVIRONMENTS}/{wheelhouse.digest(MIRROR)}"
    archive = partial(wheelhouse.archive, MIRROR, settings.wheelhouse)
    environment(folder, program=MIRROR, archive=archive)
    for name in names:
        _units(lab, host, name, folder)
    for name in names:
        first_sync(name, configuration=_configuration(lab, host, name)[1])
    only_environment(folder)


def _units(lab: Lab, host: Host, name: str, folder: str) -> None:
    described, service = lab.mirrors[name], f"crosprov-mirror@{name}.service"
    timer = f"crosprov-mirror@{name}.timer"
    configuration = f"{CONFIGURATIONS}/{name}.json"
    files.file(configuration, _configuration(lab, host, name)[0])
    _credentials(lab, described, name)
    files.file(f"{UNITS}@{name}.service", _service(lab, name, folder, configuration))
    unit(service, enabled=None, running=None)
    text = render("mirror/sync.timer.j2", lab=lab.name, mirror=name, every=described.every)
    files.file(f"{UNITS}@{name}.timer", text, restarts=[timer])
    unit(timer)


def _configuration(lab: Lab, host: Host, name: str) -> tuple[str, str]:
    """Give the text of a mirror's configuration, and the name of what it brings."""
    described = lab.mirrors[name]
    credentials = f"{CONFIGURATIONS}/{name}.credentials" if described.credentials else None
    config = config_of(lab, name, server=host, credentials=credentials, state=f"{STATES}/{name}")
    return written(config), config.digest


def _credentials(lab: Lab, described: Mirror, name: str) -> None:
    path = f"{CONFIGURATIONS}/{name}.credentials"
    if described.credentials is None:
        files.absent(path)
        return
    content = secret(lab, described.credentials) + "\n"
    files.file(path, content, mode="0600", user=ACCOUNT, group=ACCOUNT)


def _service(lab: Lab, name: str, folder: str, configuration: str) -> str:
    described = lab.mirrors[name]
    read = [tree.path or tree.git or "" for tree in described.trees]
    read = [place for place in (*read, *described.upstreams) if place.startswith("/")]
    places = [f"{path}/" for path in (described.store, *read)]
    return render(
        "mirror/sync.service.j2",
        lab=lab.name,
        mirror=name,
        account=ACCOUNT,
        environment=folder,
        configuration=configuration,
        store=described.store,
        in_home=any(path.startswith(("/home/", "/root/", "/run/user/")) for path in places),
        in_tmp=any(path.startswith(("/tmp/", "/var/tmp/")) for path in places),
    )

"""Sync the mirrors of a host: one program, and for each a confined service and a timer."""

from __future__ import annotations

import posixpath
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

# Within which time of its hour, day, week or month a host begins, so that not all begin at once.
_SYNC_WITHIN = {"hourly": "5min", "daily": "1h", "weekly": "3h"}
_VERIFY_WITHIN = {"daily": "12h", "weekly": "3d", "monthly": "10d"}


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
    described = lab.mirrors[name]
    files.file(f"{CONFIGURATIONS}/{name}.json", _configuration(lab, host, name)[0])
    _credentials(lab, described, name)
    within = _SYNC_WITHIN[described.every]
    _timed(lab, name, folder, described.every, within, verifies=False)
    if described.verify != "never":
        within = _VERIFY_WITHIN[described.verify]
        _timed(lab, name, folder, described.verify, within, verifies=True)


def _timed(lab: Lab, name: str, folder: str, every: str, within: str, *, verifies: bool) -> None:
    """Have a service run now and then: the sync of a mirror, or its verification."""
    path = f"{UNITS}{'-verify' if verifies else ''}@{name}"
    base = posixpath.basename(path)
    files.file(f"{path}.service", _service(lab, name, folder, verifies=verifies))
    unit(f"{base}.service", enabled=None, running=None)
    text = render(
        "mirror/sync.timer.j2",
        lab=lab.name, mirror=name, every=every, within=within, verifies=verifies,
    )  # fmt: skip
    files.file(f"{path}.timer", text, restarts=[f"{base}.timer"])
    unit(f"{base}.timer")


def _configuration(lab: Lab, host: Host, name: str) -> tuple[str, str]:
    """Give the text of a mirror's configuration, and the name of what it brings."""
    described = lab.mirrors[name]
    credentials = f"{CONFIGURATIONS}/{name}.credentials" if described.credentials else None
    server = host if described.folder else None  # a bucket is read elsewhere
    config = config_of(lab, name, server=server, credentials=credentials, state=f"{STATES}/{name}")
    return written(config), config.digest


def _credentials(lab: Lab, described: Mirror, name: str) -> None:
    path = f"{CONFIGURATIONS}/{name}.credentials"
    if described.credentials is None:
        files.absent(path)
        return
    content = secret(lab, described.credentials) + "\n"
    files.file(path, content, mode="0600", user=ACCOUNT, group=ACCOUNT)


def _service(lab: Lab, name: str, folder: str, *, verifies: bool) -> str:
    described = lab.mirrors[name]
    read = [tree.path or tree.git or "" for tree in described.trees]
    read += [master for tree in described.trees for master in tree.masters]
    places = [
        f"{path}/" for path in (described.store, *read, *described.upstreams) if path[:1] == "/"
    ]
    return render(
        "mirror/sync.service.j2",
        lab=lab.name,
        mirror=name,
        account=ACCOUNT,
        environment=folder,
        configuration=f"{CONFIGURATIONS}/{name}.json",
        folder=described.folder,
        verifies=verifies,
        in_home=any(path.startswith(("/home/", "/root/", "/run/user/")) for path in places),
        in_tmp=any(path.startswith(("/tmp/", "/var/tmp/")) for path in places),
    )

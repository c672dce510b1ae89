"""Serve archive mirrors over HTTP.

The archives of the mirror NAME are at /NAME/distfiles/, so that http://HOST:PORT/NAME is a base
for GENTOO_MIRRORS, to which Portage appends /distfiles/FILE.
"""

from __future__ import annotations

from ipaddress import ip_address

from crosprov.deploys.syncing import ACCOUNT, prepare, sync
from pyinfra import api

from crosprov.deploying import describes
from crosprov.errors import PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.mirror_readers import password_file, private_mirrors
from crosprov.operations import files
from crosprov.operations.checks import nginx_configuration
from crosprov.operations.effects import effects
from crosprov.operations.mirrors import only_syncs
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.roles import dev_server, mirror
from crosprov.templating import render

PACKAGE = "nginx-light"
UNIT = "nginx.service"
SERVER_GROUP = "www-data"  # as which nginx answers
SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
READERS = "/etc/nginx/crosprov-mirror.readers"  # nginx reads it at each request


@api.deploy("Archive mirror")
def deploy(lab: Lab, host: Host) -> None:
    """Make the stores, a web server that gives their files to whoever may read them, and syncs.

    A mirror that nothing fills gets no more than its store; crosprov is installed where one is
    synced.
    """
    wanted = host.settings(mirror.Settings)
    synced = [name for name in (*wanted.serves, *wanted.fills) if lab.mirrors[name].synced]
    if wanted.serves:
        packages([PACKAGE])
    if synced:
        prepare(lab, synced)
    stores = {name: _store(lab, name) for name in wanted.serves}
    filled = {stores[name] for name in synced if name in stores}
    for store in dict.fromkeys(stores.values()):
        if not describes(host, store):
            owner = ACCOUNT if store in filled else "root"
            files.directory(store, user=owner, group=owner)
    if stores:
        _serve(lab, host, wanted, stores)
    else:
        _serve_nothing()
    verified = [name for name in synced if lab.mirrors[name].verify != "never"]
    only_syncs(synced, verified)
    if synced:
        sync(lab, host, wanted, synced)


def _serve(lab: Lab, host: Host, wanted: mirror.Settings, stores: dict[str, str]) -> None:
    files.absent("/etc/nginx/sites-enabled/default", restarts=[UNIT], shipped_by=PACKAGE)
    _passwords(lab, host, wanted)
    files.file(SITE, _site(lab, host, wanted, stores), restarts=[UNIT])
    nginx_configuration(UNIT)
    unit(UNIT, ready=f"http://127.0.0.1:{wanted.port}/")


def _serve_nothing() -> None:
    """Take away what served mirrors; the web server itself may be somebody else's by now."""
    files.absent(SITE, restarts=[UNIT])
    files.absent(READERS)
    unit(UNIT, enabled=None, running=None, later=True)


def _store(lab: Lab, name: str) -> str:
    folder = lab.mirrors[name].folder
    if folder is None:
        raise PlanError(
            f"the mirror {name} is in a bucket, and only folders are served",
            hint="give it a folder as its store",
        )
    return folder


def _site(lab: Lab, host: Host, wanted: mirror.Settings, stores: dict[str, str]) -> str:
    private = private_mirrors(lab, host)
    return render(
        "mirror/site.conf.j2",
        lab=lab.name,
        port=wanted.port,
        ipv6=not _is_ipv4(host.address),
        stores=stores,
        private=private,
        passwords=READERS if wanted.readers else None,
        addresses=_addresses(lab, host) if private and not wanted.readers else [],
    )


def _passwords(lab: Lab, host: Host, wanted: mirror.Settings) -> None:
    """Let nginx tell readers by their passwords, and others not see so much as their hashes."""
    if wanted.readers and not private_mirrors(lab, host):
        effects().notices.append(
            f"the readers of {host.name} read private mirrors, and it serves public ones only"
        )
    if wanted.readers:
        files.file(READERS, password_file(lab, host), mode="0640", group=SERVER_GROUP)
    else:
        files.absent(READERS)


def _addresses(lab: Lab, host: Host) -> list[str]:
    """List the addresses that may read private mirrors: of the dev hosts that name this one."""
    addresses = []
    for other in lab.hosts.values():
        if not other.plays("dev_server"):
            continue
        if other.settings(dev_server.Settings).mirrors != host.name:
            continue
        if _is_address(other.address):
            addresses.append(other.address)
        else:
            effects().notices.append(
                f"{other.name} cannot read the private mirrors of {host.name}: it has a name as "
                "its address, and readers are told apart by IP address"
            )
    return addresses


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    return _is_address(text) and ":" not in text

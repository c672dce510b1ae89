"""Make a dev server: crosprov's own, as a service of the host."""

from __future__ import annotations

from pyinfra import api

from crosprov import devserver
from crosprov.deploying import base_url, describes, secret
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files
from crosprov.operations.effects import effects
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import user
from crosprov.roles import dev_server, mirror
from crosprov.templating import render

UNIT = "devserver.service"
ACCOUNT = "devserver"
PROGRAM = "/usr/lib/crosprov/devserver.py"
CREDENTIALS = "/etc/crosprov/devserver.boto"
MAKE_CONF = "/etc/crosprov/make.conf.mirrors"


@api.deploy("Dev server")
def deploy(lab: Lab, host: Host) -> None:
    """Run the dev server under an account of its own, and point builds at the mirrors."""
    wanted = host.settings(dev_server.Settings)
    packages(["python3"])
    user(ACCOUNT, shell="/usr/sbin/nologin", home="/nonexistent", system=True)
    if not describes(host, wanted.static_dir):
        files.directory(wanted.static_dir, user=ACCOUNT, group=ACCOUNT)
    files.file(PROGRAM, devserver.source(), restarts=[UNIT])
    _credentials(lab, wanted)
    _mirrors(lab, wanted)
    files.file(f"/etc/systemd/system/{UNIT}", _unit(lab, wanted), restarts=[UNIT])
    unit(UNIT, ready=f"http://127.0.0.1:{wanted.port}/check_health")
    for build in wanted.stage:
        source = build.archive_url or build.local_path
        effects().notices.append(f"stage {source} is not carried out by this version")


def _credentials(lab: Lab, wanted: dev_server.Settings) -> None:
    if wanted.credentials is None:
        files.absent(CREDENTIALS, restarts=[UNIT])
        return
    content = secret(lab, wanted.credentials) + "\n"
    files.file(CREDENTIALS, content, mode="0600", user=ACCOUNT, group=ACCOUNT, restarts=[UNIT])


def _mirrors(lab: Lab, wanted: dev_server.Settings) -> None:
    """Write what a make.conf takes in with `source`: from where builds fetch archives."""
    if wanted.mirrors is None:
        files.absent(MAKE_CONF)
        return
    server = lab.hosts[wanted.mirrors]
    served = server.settings(mirror.Settings)
    root = base_url(server.address, served.port)
    bases = [f"{root}/{name}" for name in served.serves]
    files.file(MAKE_CONF, render("dev_server/make.conf.mirrors.j2", lab=lab.name, bases=bases))


def _unit(lab: Lab, wanted: dev_server.Settings) -> str:
    folder = f"{wanted.static_dir}/"
    return render(
        "dev_server/devserver.service.j2",
        lab=lab.name,
        account=ACCOUNT,
        program=PROGRAM,
        port=wanted.port,
        static_dir=wanted.static_dir,
        credentials=CREDENTIALS if wanted.credentials else None,
        in_home=folder.startswith(("/home/", "/root/", "/run/user/")),
        in_tmp=folder.startswith(("/tmp/", "/var/tmp/")),
    )

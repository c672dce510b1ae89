"""Make a factory server: Dome, and one Umpire for each project, as containers.

Containers, volumes, ports and environment are those of setup/cros_docker.sh in the tree
platform/factory (June 2023), so that its other commands go on working on them. Projects run at
once; Dome's own list of projects knows one when it is added there by its name.
"""

from __future__ import annotations

from pyinfra import api

from crosprov.deploying import describes
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import dome, files
from crosprov.operations.containers import ContainerSpec, container, image
from crosprov.operations.effects import effects
from crosprov.operations.packages import packages
from crosprov.roles import factory_server
from crosprov.roles.factory_server import UMPIRE_OFFSETS

UMPIRE_BASE = 8080  # inside of the container
LOCALTIME = "/etc/localtime"
SHARED_TMP = "cros-docker-shared-tmp-vol:/tmp/shared"


@api.deploy("Factory server")
def deploy(lab: Lab, host: Host) -> None:
    """Load the image, make the folders, and run Dome and the Umpires from that image."""
    wanted = host.settings(factory_server.Settings)
    shared = wanted.shared_dir
    packages(["tzdata"])  # a missing /etc/localtime would become a directory
    for path, mounted_by in _folders(wanted).items():
        if not describes(host, path):
            files.directory(path, restarts=[f"{name}.container" for name in mounted_by])
    if wanted.image_archive is not None:
        image(wanted.image, archive=str(wanted.image_archive.resolve()))
    dome.database(f"{shared}/dome/db.sqlite3", f"{shared}/dome/log", wanted.image)
    container("dome_uwsgi", _uwsgi(wanted))
    container("dome_nginx", _nginx(wanted), ready=f"http://127.0.0.1:{wanted.dome_port}/")
    for name, project in wanted.projects.items():
        container(f"umpire_{name}", _umpire(wanted, name, project.umpire_port))
    if wanted.admin_password is not None:
        effects().notices.append(
            "admin_password of Dome is not carried out by this version; "
            "set it with `cros_docker.sh passwd`"
        )


def _folders(wanted: factory_server.Settings) -> dict[str, list[str]]:
    """Name the folders, parents first, and the containers that have each one as a volume."""
    shared = wanted.shared_dir
    dome_itself = ["dome_uwsgi", "dome_nginx"]
    return {
        shared: [f"umpire_{project}" for project in wanted.projects],
        f"{shared}/umpire": dome_itself,
        f"{shared}/tftp": dome_itself,
        f"{shared}/dome": [],
        f"{shared}/dome/log": dome_itself,
        **{f"{shared}/umpire/{project}": [f"umpire_{project}"] for project in wanted.projects},
    }


def _uwsgi(wanted: factory_server.Settings) -> ContainerSpec:
    shared = wanted.shared_dir
    return ContainerSpec(
        image=wanted.image,
        command=("uwsgi", "--ini", "uwsgi.ini"),
        env={
            "HOST_SHARED_DIR": shared,
            "HOST_UMPIRE_DIR": f"{shared}/umpire",
            "HOST_TFTP_DIR": f"{shared}/tftp",
            "HOST_LOCALTIME_PATH": LOCALTIME,
        },
        volumes=(
            "/var/run/docker.sock:/var/run/docker.sock",
            "/run",
            f"{shared}/dome/db.sqlite3:{dome.DATABASE}",
            f"{shared}/dome/log:{dome.LOGS}",
            f"{shared}/tftp:/var/tftp",
            f"{shared}/umpire:/var/db/factory/umpire",
            SHARED_TMP,
            f"{LOCALTIME}:{LOCALTIME}:ro",
        ),
        workdir=dome.PROGRAM_DIR,
    )


def _nginx(wanted: factory_server.Settings) -> ContainerSpec:
    return ContainerSpec(
        image=wanted.image,
        command=("nginx", "-g", "daemon off;"),
        ports=(f"{wanted.dome_port}:80",),
        volumes_from=("dome_uwsgi",),
        workdir=dome.PROGRAM_DIR,
    )


def _umpire(wanted: factory_server.Settings, project: str, base: int) -> ContainerSpec:
    shared = wanted.shared_dir
    return ContainerSpec(
        image=wanted.image,
        command=("/usr/local/factory/bin/umpired",),
        env={"UMPIRE_PROJECT_NAME": project, "UMPIRE_PROJECT_PORT": str(base)},
        ports=tuple(f"{base + offset}:{UMPIRE_BASE + offset}" for offset in UMPIRE_OFFSETS),
        volumes=(
            f"{LOCALTIME}:{LOCALTIME}:ro",
            f"{shared}:/mnt",
            f"{shared}/umpire/{project}:/var/db/factory/umpire",
            SHARED_TMP,
        ),
        privileged=True,
        tmpfs=("/run:rw,size=16384k",),
    )

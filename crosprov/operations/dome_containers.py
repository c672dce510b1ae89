"""What the deployment script makes Dome's containers of, and how they differ from that."""

from __future__ import annotations

from crosprov.facts.container_names import DOME, NGINX, UWSGI
from crosprov.facts.dome_containers import RUN_VOLUME, WANTED_IMAGE, DomeContainers
from crosprov.operations.deployment_script import LOCALTIME, SHARED_VOLUME
from crosprov.roles.factory_server import Settings

_ESSENTIAL = ("state", "image", "restart", "mount /var/run/docker.sock", "port 80/tcp")


def database_of(shared: str) -> str:
    """Give the path of Dome's database on the host."""
    return f"{shared}/dome/db.sqlite3"


def made_by_the_script(wanted: Settings) -> dict[str, str]:
    """Give what `run` makes Dome's containers of: keys and values as they are observed.

    From setup/cros_docker.sh, June 2023.
    """
    shared = wanted.shared_dir
    mounts = {
        "/var/run/docker.sock": "/var/run/docker.sock",
        "/run": RUN_VOLUME,
        "/var/db/factory/dome/db.sqlite3": database_of(shared),
        "/var/log/dome": f"{shared}/dome/log",
        "/var/tftp": f"{shared}/tftp",
        "/var/db/factory/umpire": f"{shared}/umpire",
        "/tmp/shared": SHARED_VOLUME,
        LOCALTIME: f"{LOCALTIME} read-only",
    }
    both = {
        "state": "running",
        "image": WANTED_IMAGE,
        "restart": "unless-stopped",
        **{f"mount {place}": source for place, source in mounts.items()},
    }
    environment = {
        "HOST_SHARED_DIR": shared,
        "HOST_UMPIRE_DIR": f"{shared}/umpire",
        "HOST_TFTP_DIR": f"{shared}/tftp",
        "HOST_LOCALTIME_PATH": LOCALTIME,
    }
    return {
        **{f"{name} {key}": value for name in DOME for key, value in both.items()},
        **{f"{UWSGI} env {key}": value for key, value in environment.items()},
        f"{UWSGI} command": '["uwsgi","--ini","uwsgi.ini"]',
        f"{NGINX} command": '["nginx","-g","daemon off;"]',
        f"{NGINX} port 80/tcp": str(wanted.dome_port),
    }


def is_essential(key: str) -> bool:
    """Tell whether a container must have a key; scripts of other times lack some of the rest."""
    return key.partition(" ")[2] in _ESSENTIAL


def differences(wanted: Settings, seen: DomeContainers) -> dict[str, tuple[str | None, str | None]]:
    """Give what is otherwise than the script makes it, as (is, shall be), by key.

    A key that the script does not know counts only where it is a port.
    """
    made = made_by_the_script(wanted)
    found: dict[str, tuple[str | None, str | None]] = {}
    for key, value in made.items():
        now = seen.lines.get(key)
        if now != value and (now is not None or is_essential(key)):
            found[key] = (now, value)
    for key, now in seen.lines.items():
        if key not in made and key.split()[1] == "port":
            found[key] = (now, None)
    if seen.database == "absent":
        found["database"] = (None, database_of(wanted.shared_dir))
    return found

"""Make a factory server: Dome and one Umpire for each project, from one release.

The deployment script that the field uses makes Dome's containers, so its other commands go on
working on them. The order is that of their needs: the image, the script, Dome, its projects.
"""

from __future__ import annotations

from crosprov.deploys import factory_preflight, factory_projects, overlord
from pyinfra import api

from crosprov.deploying import describes
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files
from crosprov.operations.deployment_script import script
from crosprov.operations.dome import MARK, dome
from crosprov.operations.images import kept_versions, server_image
from crosprov.operations.packages import packages
from crosprov.roles import factory_server

# curl talks to Dome, and fetches for `pull`; the script calls sudo even for root, and Docker calls
# xz for the tarball; tzdata brings /etc/localtime, or Docker would make a directory of it;
# bsdutils has `script`, for the terminal that `run` wants.
PACKAGES = ("bsdutils", "curl", "sudo", "tzdata", "xz-utils")


@api.deploy("Factory server")
def deploy(lab: Lab, host: Host) -> None:
    """Bring script and image, make the folders, run Dome, and have it run its projects."""
    wanted = host.settings(factory_server.Settings)
    factory_preflight.check(lab, host, wanted)
    packages(PACKAGES)
    for path, restarts in _folders(wanted).items():
        if not describes(host, path):
            files.directory(path, restarts=restarts)
    server_image(wanted.image, wanted=wanted)
    script(wanted.script_dir, wanted=wanted)
    dome(wanted.shared_dir, wanted=wanted)
    factory_projects.apply(lab, host, wanted)
    overlord.apply(lab, host, wanted)
    kept_versions(wanted.image, wanted=wanted)


def _folders(wanted: factory_server.Settings) -> dict[str, tuple[str, ...]]:
    """Name the folders, parents first, each with what must start anew when it is made anew."""
    shared = wanted.shared_dir
    return {
        wanted.script_dir: (),
        shared: (),
        f"{shared}/umpire": (MARK,),
        f"{shared}/tftp": (MARK,),
        f"{shared}/dome": (),
        f"{shared}/dome/log": (MARK,),
    }

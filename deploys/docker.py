"""Make a Docker engine, from the host's own distribution."""

from __future__ import annotations

from pyinfra import api

from crosprov.inventory.lab import Host, Lab
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import account
from crosprov.roles import docker


@api.deploy("Docker")
def deploy(lab: Lab, host: Host) -> None:
    """Install the engine, start it now and at boot, and let accounts use it."""
    wanted = host.settings(docker.Settings)
    packages([wanted.package])
    for name in wanted.users:
        account(name, shell=None, groups=["docker"])
    unit("docker.service")

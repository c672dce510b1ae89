"""Make a Docker engine: its packages, its configuration, its service, who may use it."""

from __future__ import annotations

from pyinfra import api

from crosprov.debian_package import read_package
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import docker_daemon
from crosprov.operations.apt_source import apt_source
from crosprov.operations.package_files import package_files
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import account
from crosprov.roles import docker


@api.deploy("Docker")
def deploy(lab: Lab, host: Host) -> None:
    """Install the engine, configure it, start it now and at boot, and let accounts use it."""
    wanted = host.settings(docker.Settings)
    members = wanted.daemon()
    docker_daemon.supported(members, factory=host.plays("factory_server"))
    installed = _install(wanted)
    for name in wanted.users:
        account(name, shell=None, groups=["docker"])
    docker_daemon.configuration(members, rotation=wanted.rotation_asked)
    docker_daemon.stopping(installed)
    unit(docker_daemon.UNIT)


def _install(wanted: docker.Settings) -> tuple[str, ...]:
    """Install Docker from where it comes; give the names of its packages."""
    if wanted.package_files:
        files = [str(path.resolve()) for path in wanted.package_files]
        package_files(files)
        return tuple(read_package(path).name for path in files)
    if wanted.repository is None:
        packages([wanted.package])
        return (wanted.package,)
    source = wanted.repository
    apt_source("docker", source.url, source.suite, source.components, str(source.key.resolve()))
    packages(source.packages)
    return source.packages

"""What is asked of a factory server through Dome: settings, password, projects with their Umpires.

Called by the deploy `factory_server` once Dome itself is dealt with.
"""

from __future__ import annotations

from pathlib import PurePath

from crosprov.deploying import secret
from crosprov.inventory.factory import Project, ResourceBundle
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import dome_password, dome_settings, projects
from crosprov.operations.dome_requests import Dome
from crosprov.operations.dome_settings import MULTICAST, TFTP, VERSION_CHECK
from crosprov.operations.project_status import tell_projects
from crosprov.operations.project_wish import State, Wish
from crosprov.operations.resource_bundles import Bundle, resource_bundle
from crosprov.operations.services import services
from crosprov.roles import factory_server

_HEALTH = ("instalog", "dkps")  # services that can be asked whether they answer


def apply(lab: Lab, host: Host, wanted: factory_server.Settings) -> None:
    """Set Dome up, then each project: its Umpire, its services, its bundle, one after the other.

    Raises SecretError when the admin's password leads to nothing.
    """
    dome = Dome(wanted.dome_port, wanted.image, wanted.shared_dir)
    _settings(wanted, dome)
    if wanted.admin_password is not None:
        token = secret(lab, wanted.admin_password)
        dome_password.dome_password(dome_password.ADMIN, token, dome=dome)
    else:
        dome_password.tell_password(dome_password.ADMIN)
    wishes = {name: _wish(name, project) for name, project in wanted.projects.items()}
    _projects(list(wishes.values()), dome)
    for name, wish in wishes.items():
        if wish.state is State.ENABLED:
            _content(wish, wanted.projects[name], dome)
    dome_settings.tell_dome(dome)
    tell_projects(list(wishes.values()), dome=dome)


def _settings(wanted: factory_server.Settings, dome: Dome) -> None:
    settings = (
        (VERSION_CHECK, wanted.version_check),
        (TFTP, wanted.tftp),
        (MULTICAST, wanted.multicast),
    )
    for setting, on in settings:
        if on is not None:
            dome_settings.dome_setting(setting, on, dome=dome)


def _wish(name: str, project: Project) -> Wish:
    if project.absent:
        state = State.DELETED if project.delete_data else State.ABSENT
    else:
        state = State.ENABLED if project.enabled else State.DISABLED
    active = {one for one, keys in project.services.items() if keys.get("active") is True}
    health = tuple(service for service in _HEALTH if service in active)
    return Wish(name, project.umpire_port, state, health)


def _projects(wishes: list[Wish], dome: Dome) -> None:
    """Deal with those that give up their ports before those that may take them."""
    for wish in wishes:
        if wish.state is State.ENABLED:
            projects.release(wish, [one for one in wishes if one is not wish], dome=dome)
    for wish in sorted(wishes, key=lambda wish: wish.state is State.ENABLED):
        projects.project(wish, dome=dome)


def _content(wish: Wish, project: Project, dome: Dome) -> None:
    if project.services:
        services(wish, project.services, dome=dome)
    if project.bundle is not None:
        resource_bundle(wish, bundle_of(project.bundle), dome=dome)


def bundle_of(bundle: ResourceBundle) -> Bundle:
    """Give a bundle of the inventory with the name that it shall have in Dome."""
    path = str(bundle.file.resolve())
    return Bundle(path, bundle.name or PurePath(path).name, bundle.note)

"""Make the state that any host may want."""

from __future__ import annotations

from pathlib import Path

from pyinfra import api
from pyinfra import host as current_host

from crosprov.deploying import secret
from crosprov.errors import PlanError
from crosprov.facts.users import UserFact
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files, merge
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import user
from crosprov.roles import common
from crosprov.templating import render_file


@api.deploy("Common state")
def deploy(lab: Lab, host: Host) -> None:
    """Make what the section `common` says, in an order in which each part finds what it needs.

    Units that another role may bring, and restarts, wait for `finish`.
    """
    wanted = host.settings(common.Settings)
    if wanted.packages:
        packages(wanted.packages)
    for name, account in wanted.users.items():
        user(
            name,
            shell=account.shell,
            home=account.home,
            groups=account.groups,
            system=account.system,
            authorized_keys=account.authorized_keys,
        )
    _owners(wanted)
    for path, folder in sorted(wanted.directories.items()):  # a parent before what is in it
        files.directory(path, mode=_four_digits(folder.mode), user=folder.owner, group=folder.group)
    for path, target in wanted.links.items():
        files.link(path, target)
    for path, file in wanted.files.items():
        files.file(
            path,
            _content(lab, host, file),
            mode=_four_digits(file.mode),
            user=file.owner,
            group=file.group,
            restarts=file.restarts,
        )
    for path, values in wanted.settings.items():
        merge.settings(path, values)
    for path, text in wanted.blocks.items():
        merge.block(path, text)
    for name, state in wanted.units.items():
        unit(name, enabled=state.enabled, running=state.running, later=True)


@api.deploy("Common state, after all other roles")
def finish(lab: Lab, host: Host) -> None:
    """Make the other units as they shall be, and restart those whose files changed.

    By now the packages and unit files of the other roles are there, and they have checked and
    restarted what is theirs. Units that are only restarted stay as they are.
    """
    wanted = host.settings(common.Settings)
    for name, state in wanted.units.items():
        unit(name, enabled=state.enabled, running=state.running)
    restarted = (name for file in wanted.files.values() for name in file.restarts)
    for name in dict.fromkeys(restarted):
        if name not in wanted.units:
            unit(name, enabled=None, running=None)


def _owners(wanted: common.Settings) -> None:
    """Ask once for each pair of owner and group; root is everywhere."""
    paths: dict[tuple[str, str], str] = {}
    for path, folder in wanted.directories.items():
        paths.setdefault((folder.owner, folder.group), path)
    for path, file in wanted.files.items():
        paths.setdefault((file.owner, file.group), path)
    for (account, group), path in paths.items():
        if (account, group) != ("root", "root"):
            known_owner(path, account, group)


@operation
def known_owner(path: str, account: str, group: str) -> Commands:
    """Refuse the owner and the group of a path when the host will not have them by then.

    Packages of this plan may bring them, so nothing is refused on a host that gets some.
    """
    seen = current_host.get_fact(UserFact, user=account, groups=(group,))
    made = effects().accounts
    groups = {"root", *seen.known_groups, *made}.union(*(one.known_groups for one in made.values()))
    if effects().packages:
        return
    if account != "root" and not seen.exists and account not in made:
        raise PlanError(
            f"{path} shall belong to {account}, and the host has no such account",
            hint="is the name right? users of the section common are made before the files",
        )
    if group not in groups:
        raise PlanError(
            f"{path} shall belong to the group {group}, and the host has no such group",
            hint="is the name right? the groups of users of the section common are made if missing",
        )
    yield from ()


def _content(lab: Lab, host: Host, file: common.File) -> str | bytes:
    if file.source is not None:
        return _read(file.source)
    if file.template is not None:
        return render_file(file.template, **{"host": host, "lab": lab, **file.vars})
    if isinstance(file.content, SecretRef):
        return secret(lab, file.content)
    return file.content or ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from None


def _four_digits(mode: str) -> str:
    return mode.zfill(4)

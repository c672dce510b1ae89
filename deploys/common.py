"""Make the state that any host may want."""

from __future__ import annotations

from pathlib import Path

from pyinfra import api

from crosprov.deploying import secret
from crosprov.errors import PlanError
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files, merge
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.operations.users import user
from crosprov.roles import common
from crosprov.templating import render_file


@api.deploy("Common state")
def deploy(lab: Lab, host: Host) -> None:
    """Make what the section `common` says, in an order in which each part finds what it needs."""
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
    _units(wanted)


def _units(wanted: common.Settings) -> None:
    """Make the units as they shall be; those that are only restarted stay as they are."""
    for name, state in wanted.units.items():
        unit(name, enabled=state.enabled, running=state.running)
    restarted = (name for file in wanted.files.values() for name in file.restarts)
    for name in dict.fromkeys(restarted):
        if name not in wanted.units:
            unit(name, enabled=None, running=None)


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

"""Which release a bundle is made of: what the inventory says, or what was asked instead."""

from __future__ import annotations

import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from crosprov.errors import UsageError
from crosprov.factory.release import Release, release
from crosprov.factory.script_source import script_of
from crosprov.factory.sources import check_version
from crosprov.factory.tarballs import check_name, local_image
from crosprov.factory.web import shown
from crosprov.inventory.factory import ScriptSource
from crosprov.inventory.lab import Lab
from crosprov.inventory.select import select
from crosprov.roles.factory_server import Settings

ROLE = "factory_server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says in place of the inventory."""

    script: str | None = None
    image: Path | None = None
    site: str
    limit: str | None = None


def release_for(lab: Lab, asked: Asked) -> Release:
    """Give the release of the chosen factory servers, with the image where it is at hand.

    Raises UsageError when they do not agree, or nothing names a script; PlanError when a
    source is not what it should be.
    """
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", asked.site):
        raise UsageError(f"--site {shown(asked.site)} is no address of http or https")
    hosts = {name: lab.hosts[name].settings(Settings) for name in select(lab, asked.limit, ROLE)}
    source = _script(asked.script) if asked.script else _agreed(hosts, "script")
    if not isinstance(source, ScriptSource):
        raise UsageError(
            f"{lab.path} does not say where the deployment script comes from",
            hint="name it with --script, or as `script` of the factory server",
        )
    archive = asked.image or _agreed(hosts, "image_archive")
    image = local_image(archive) if isinstance(archive, Path) else None
    content, where = script_of(source)
    found = release(content, where, image)
    if image is not None:
        check_name(image, found.version)
    version = _agreed(hosts, "version")
    if isinstance(version, str):
        check_version(found, version)
    return found


def _script(asked: str) -> ScriptSource:
    if asked.startswith(("http://", "https://")):
        try:
            return ScriptSource(url=asked)
        except ValidationError:
            raise UsageError(f"--script {shown(asked)} names no file on the web") from None
    path = Path(asked).expanduser()
    return ScriptSource(checkout=path) if _holds_others(path) else ScriptSource(file=path)


def _holds_others(path: Path) -> bool:
    """Tell a folder or an archive from a script; what cannot be read is refused later."""
    try:
        return path.is_dir() or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False


def _agreed(hosts: dict[str, Settings], key: str) -> object:
    """Give what all of the hosts say for a key; raises UsageError when they differ."""
    said = {name: getattr(settings, key) for name, settings in hosts.items()}
    first, *others = said
    for other in others:
        if said[other] != said[first]:
            raise UsageError(
                f"{first} and {other} have another `{key}` of their factory servers",
                hint="choose hosts of one release with --limit",
            )
    return said[first]

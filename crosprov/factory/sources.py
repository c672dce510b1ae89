"""Where a factory server's release comes from: a bundle, or a script and a tarball."""

from __future__ import annotations

from crosprov.errors import PlanError
from crosprov.factory import bundle
from crosprov.factory.release import LocalImage, Release, release
from crosprov.factory.script_source import script_of
from crosprov.factory.tarballs import check_name, local_image
from crosprov.roles.factory_server import Settings


def release_of(settings: Settings) -> Release | None:
    """Give the release that an inventory declares, None where the host's own script stays.

    Reads files of the controller, and fetches `script.url` once in a run. Raises PlanError for
    sources that cannot be read, are damaged, or are not of the `version` that is declared.
    """
    found = _of_the_sources(settings)
    if found is not None and settings.version is not None:
        check_version(found, settings.version)
    return found


def _of_the_sources(settings: Settings) -> Release | None:
    if settings.bundle is not None:
        return bundle.read(settings.bundle)
    if settings.script is None:
        return None
    content, where = script_of(settings.script)
    found = release(content, where, image_of(settings))
    if found.image is not None:
        check_name(found.image, found.version)
    return found


def image_of(settings: Settings) -> LocalImage | None:
    """Give the image's tarball of an inventory, None where it names none.

    Raises PlanError when it is not whole.
    """
    if settings.bundle is not None:
        return bundle.read(settings.bundle).image
    return None if settings.image_archive is None else local_image(settings.image_archive)


def check_version(found: Release, version: str) -> None:
    """Raise PlanError when a release is not of the version that an inventory pins."""
    if str(found.version) != version:
        raise PlanError(
            f"the deployment script is of version {found.version}, and the inventory says "
            f"version {version}",
            hint="name the script or bundle of that version, or take `version` out",
        )

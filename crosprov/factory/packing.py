"""Make a bundle: fetch what is missing, and let the archive appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import PlanError, UsageError
from crosprov.factory import bundle
from crosprov.factory.bundle import Layout, Manifest, manifest_of
from crosprov.factory.download import Moved, Patience, download
from crosprov.factory.release import LocalImage, Release
from crosprov.factory.tarballs import local_image
from crosprov.factory.web import shown
from crosprov.localfiles import Stretch
from crosprov.locks import locked

# Where `cros_docker.sh pull` looks, in the platform/factory tree of June 2023.
SITE = "https://storage.googleapis.com/chromeos-localmirror/distfiles"


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle that is there now, and whether it had to be written."""

    path: Path
    manifest: Manifest
    size: int
    written: bool


@dataclass(frozen=True, slots=True)
class Packer:
    """Where a bundle goes, where its tarball comes from, and who is told how far that is."""

    out: Path
    site: str = SITE
    force: bool = False
    moved: Moved = lambda done, total: None
    say: Callable[[str], None] = lambda text: None
    patience: Patience | None = None

    def pack(self, release: Release) -> Packed:
        """Make the bundle of a release; without an image at hand its tarball is fetched.

        The same release gives the same bytes. Raises UsageError when another file is in the
        way, PlanError when the tarball cannot be had or nothing can be written.
        """
        part = self.out.with_name(f".{self.out.name}.part")
        try:
            with locked(part, on_wait=lambda: self.say("another run is making this bundle")):
                return self._packed(release, part)
        except OSError as error:
            raise PlanError(f"{self.out} cannot be written: {error.strerror}") from None

    def _packed(self, release: Release, part: Path) -> Packed:
        """Make it under the lock; only who holds that may remove the part."""
        try:
            if (there := self._there(release)) is not None:
                part.unlink()
                return there
            tarball = self.out.with_name(f".{release.version.tarball}.part")
            image = release.image or self._fetched(release, tarball)
            manifest = manifest_of(release, image.size, image.sha256)
            self.say(f"writing {self.out}")
            self._write(manifest, release, image, part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if release.image is None:
            tarball.unlink()
        return Packed(self.out, manifest, Layout(manifest).size, True)

    def _there(self, release: Release) -> Packed | None:
        """Give the bundle that is there already; refuse to replace what is another one."""
        if not os.path.lexists(self.out):
            return None
        try:
            found = bundle.read(self.out)
        except PlanError:
            found = None
        if found is not None and found.image is not None and found.sha256 == release.sha256:
            image = found.image
            if release.image is None or release.image.sha256 == image.sha256:
                manifest = manifest_of(found, image.size, image.sha256)
                return Packed(self.out, manifest, Layout(manifest).size, False)
        if not self.force:
            what = f"holds version {found.version}" if found else "is no whole bundle"
            raise UsageError(
                f"{self.out} is there already, and {what}, not what would be written",
                hint="choose another name, or replace it with --force",
            )
        return None

    def _fetched(self, release: Release, tarball: Path) -> LocalImage:
        url = f"{self.site.rstrip('/')}/{release.version.tarball}"
        self.say(f"fetching {release.version.tarball}")
        download(url, tarball, self.moved, self.patience)
        try:
            return local_image(tarball)
        except PlanError as error:
            tarball.unlink(missing_ok=True)
            raise PlanError(
                f"what {shown(url)} gives is no whole tarball: {error.message}", hint=error.hint
            ) from None

    def _write(self, manifest: Manifest, release: Release, image: LocalImage, part: Path) -> None:
        layout = Layout(manifest)
        with open(part, "wb") as file, Stretch(image.path, image.offset, image.size) as source:
            file.write(layout.head + release.script + layout.between)
            shutil.copyfileobj(source, file, 1 << 20)
            file.write(layout.tail)
            file.flush()
            os.fsync(file.fileno())
        bundle.read(part)  # what was read twice may have changed between
        part.chmod(0o666 & ~_umask())
        part.replace(self.out)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

"""Bundles: a script and its image's tarball in one tar archive, made by crosprov alone.

All of a bundle but its two contents follows from the manifest at its beginning. So a reader
computes what must be there, and takes nothing else: no name in it is ever a path.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field

from crosprov.errors import PlanError
from crosprov.factory.release import MOST, Release, Version, release
from crosprov.factory.tarballs import local_image
from crosprov.inventory.factory import SCRIPT

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
MANIFEST = "manifest.json"
_MOST_MANIFEST = 64 * 1024
_MAKE = "make it with `crosprov factory bundle`, or carry it over again"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Member(_Frozen):
    """One of the two contents."""

    name: str
    size: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(_Frozen):
    """What stands at the beginning of a bundle."""

    kind: Literal["crosprov factory bundle"] = "crosprov factory bundle"
    format: Literal[1] = 1
    version: str
    script: Member
    image: Member

    def text(self) -> bytes:
        """Give the one way in which a manifest is written."""
        return (json.dumps(self.model_dump(), indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in the bundle of a manifest, in bytes."""

    manifest: Manifest

    @property
    def head(self) -> bytes:
        """Give the bytes before the script."""
        text = self.manifest.text()
        return _header(MANIFEST, len(text), 0o644) + _filled(text) + self._header_of_script

    @property
    def between(self) -> bytes:
        """Give the bytes between script and tarball."""
        image = self.manifest.image
        fill = bytes(-self.manifest.script.size % _BLOCK)
        return fill + _header(image.name, image.size, 0o644)

    @property
    def tail(self) -> bytes:
        """Give the bytes after the tarball."""
        return bytes(-self.manifest.image.size % _BLOCK) + _END

    @property
    def offset(self) -> int:
        """Tell where the tarball begins."""
        return len(self.head) + self.manifest.script.size + len(self.between)

    @property
    def size(self) -> int:
        """Count the bytes of the whole bundle."""
        return self.offset + self.manifest.image.size + len(self.tail)

    @property
    def _header_of_script(self) -> bytes:
        return _header(SCRIPT, self.manifest.script.size, 0o755)


def manifest_of(script: Release, size: int, sha256: str) -> Manifest:
    """Make the manifest of a release and a tarball of this size and sha256."""
    return Manifest(
        version=str(script.version),
        script=Member(name=SCRIPT, size=len(script.script), sha256=script.sha256),
        image=Member(name=script.version.tarball, size=size, sha256=sha256),
    )


def read(path: Path) -> Release:
    """Give the release in a bundle, with the tarball where it lies.

    Its structure is computed and compared; the tarball is digested once as long as the file
    stays the same. Raises PlanError for what is no bundle, is cut short, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            layout = _layout(path, file)
            content = file.read(layout.manifest.script.size)
            _check_rest(path, file, layout)
    except OSError as error:
        raise PlanError(
            f"the bundle {path} cannot be read: {error.strerror}",
            hint="paths are relative to the inventory",
        ) from None
    manifest = layout.manifest
    if (digest := hashlib.sha256(content).hexdigest()) != manifest.script.sha256:
        raise _differs(path, manifest.script, digest)
    found = release(content, f"{SCRIPT} in {path}")
    _check_version(path, manifest, found.version)
    image = local_image(path, layout.offset, manifest.image.size)
    if image.sha256 != manifest.image.sha256:
        raise _differs(path, manifest.image, image.sha256)
    return Release(found.version, content, digest, image)


def _layout(path: Path, file: BinaryIO) -> Layout:
    """Read the manifest; leave the file where the script begins."""
    header = file.read(_BLOCK)
    if not header:
        raise PlanError(f"the bundle {path} is empty", hint=_MAKE)
    try:
        size = tarfile.TarInfo.frombuf(header, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError):
        raise _foreign(path) from None
    if header != _header(MANIFEST, max(0, size), 0o644) or not 0 < size <= _MOST_MANIFEST:
        raise _foreign(path)
    text = file.read(size)
    if len(text) < size:
        raise _cut(path, _BLOCK + len(text))
    layout = _understood(path, text)
    rest = layout.head[_BLOCK + size :]
    there = file.read(len(rest))
    if len(there) < len(rest):
        raise _cut(path, _BLOCK + size + len(there))
    if there != rest:
        raise _damaged(path)
    return layout


def _understood(path: Path, text: bytes) -> Layout:
    try:
        layout = Layout(Manifest.model_validate_json(text))
        known = layout.manifest.text() == text and layout.manifest.script.size <= MOST
        known = known and layout.manifest.script.name == SCRIPT
        known = known and layout.size > 0  # which numbers too large for a tar header have not
    except ValueError:  # pydantic's is one, too
        known = False
    if not known:
        raise _foreign(path)
    return layout


def _check_rest(path: Path, file: BinaryIO, layout: Layout) -> None:
    there = file.seek(0, 2)
    if there != layout.size:
        raise _cut(path, there, layout.size)
    for at, wanted in (
        (layout.offset - len(layout.between), layout.between),
        (layout.size - len(layout.tail), layout.tail),
    ):
        file.seek(at)
        if file.read(len(wanted)) != wanted:
            raise _damaged(path)


def _check_version(path: Path, manifest: Manifest, version: Version) -> None:
    if (manifest.version, manifest.image.name) != (str(version), version.tarball):
        raise PlanError(
            f"the bundle {path} says version {manifest.version} and holds "
            f"{manifest.image.name}, and its script is of version {version}",
            hint=_MAKE,
        )


def _header(name: str, size: int, mode: int) -> bytes:
    """Give the one block of a tar header, the same for ever: no time, no account."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode
    header = member.tobuf(tarfile.GNU_FORMAT)
    if len(header) != _BLOCK:
        raise ValueError(f"{name} is too long a name for a member")
    return header


def _filled(content: bytes) -> bytes:
    return content + bytes(-len(content) % _BLOCK)


def _cut(path: Path, there: int, wanted: int | None = None) -> PlanError:
    if wanted is not None and there > wanted:
        return PlanError(
            f"the bundle {path} has {there} bytes, {there - wanted} more than it should", hint=_MAKE
        )
    of = f"{there} of {wanted} bytes" if wanted is not None else f"{there} bytes"
    return PlanError(f"the bundle {path} was cut short: it has {of}", hint=_MAKE)


def _foreign(path: Path) -> PlanError:
    return PlanError(f"{path} is no bundle that `crosprov factory bundle` made", hint=_MAKE)


def _damaged(path: Path) -> PlanError:
    return PlanError(f"the bundle {path} is damaged between its members", hint=_MAKE)


def _differs(path: Path, member: Member, digest: str) -> PlanError:
    return PlanError(
        f"{member.name} in the bundle {path} has the sha256 {digest}, and its manifest says "
        f"{member.sha256}",
        hint=_MAKE,
    )

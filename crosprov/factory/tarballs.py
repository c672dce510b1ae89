"""Whether an image's tarball is whole, asked of its structure: no image is unpacked for that."""

from __future__ import annotations

import io
import os
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from crosprov.errors import PlanError
from crosprov.factory.blocks import Damaged, bzip2, plain_tar, xz, zstd
from crosprov.factory.release import LocalImage, Version
from crosprov.localfiles import Stretch, measured_stretch

_PIECE = 1 << 20
TAR_MAGIC = 257  # where a tar archive says "ustar"
_NAME = re.compile(r"factory-server-[0-9]{14}-[0-9a-f]{6}-docker-.*")
_AGAIN = "fetch it again, and compare its size with what the place it comes from says"


def local_image(path: Path, offset: int = 0, size: int | None = None) -> LocalImage:
    """Give a tarball of the controller, or a stretch of a file that is one, once it is whole.

    It is read once as long as the file stays the same. Raises PlanError when it cannot be
    read, is empty, cut short, or no tar archive, compressed or not.
    """
    try:
        found = os.stat(path)
        length = found.st_size - offset if size is None else size
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        why = _damage(str(path), offset, length, identity)
        if why is None:
            digest = measured_stretch(path, offset, length)
            return LocalImage(os.path.abspath(path), offset, length, digest)
    except OSError as error:
        raise PlanError(
            f"the image's tarball {path} cannot be read: {error.strerror}",
            hint="paths are relative to the inventory",
        ) from None
    raise PlanError(f"the image's tarball {path} {why}", hint=_AGAIN)


def check_name(image: LocalImage, version: Version) -> None:
    """Raise PlanError for a tarball whose name tells that it is of another version.

    Any other name may be: of which version an image is, its own variables tell once it is
    loaded, and only unpacking all of it would tell that here.
    """
    name = Path(image.path).name
    if _NAME.fullmatch(name) and not name.startswith(f"factory-server-{version}-"):
        raise PlanError(
            f"the image's tarball {image.path} is of another version than the script, which wants "
            f"{version.tarball}",
            hint="name the tarball and the script of one version",
        )


@lru_cache(maxsize=1000)
def _damage(path: str, offset: int, size: int, identity: tuple[int, ...]) -> str | None:
    """Tell what is wrong with a tarball, None when nothing is; raises OSError."""
    with cast(BinaryIO, io.BufferedReader(Stretch(path, offset, size))) as file:
        head = file.read(TAR_MAGIC + 5)
        if not head:
            return "is empty: was its download cut short?"
        try:
            check_tar(file, size, head)
        except Damaged as damage:
            return str(damage)
    return None


def check_tar(file: BinaryIO, size: int, head: bytes, *, unpacks: bool = True) -> None:
    """Raise Damaged for what is no whole tar archive; gzip tells only where it `unpacks`."""
    if head.startswith(b"\xfd7zXZ\x00"):
        xz(file, size)
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        zstd(file, size)
    elif head.startswith(b"BZh"):
        bzip2(file, size)
    elif head.startswith(b"\x1f\x8b"):
        if unpacks:
            _gzip(file)
    elif head[TAR_MAGIC:] == b"ustar":
        plain_tar(file, size)
    else:
        raise Damaged("is neither a tar archive nor a compressed one")


def _gzip(file: BinaryIO) -> None:
    """Unpack to nowhere: only that shows where deflated data end."""
    file.seek(0)
    stream, data = None, b""
    try:
        while data := data or file.read(_PIECE):
            if stream is None:
                data = data.lstrip(b"\0")  # what tapes fill up with
                stream = zlib.decompressobj(31) if data else None
                continue
            while stream.decompress(data, _PIECE):
                data = stream.unconsumed_tail
            data = stream.unused_data
            stream = None if stream.eof else stream
    except zlib.error:
        raise Damaged("is damaged: gzip cannot unpack it") from None
    if stream is not None:
        raise Damaged("was cut short: its gzip data have no end")

"""Whether a bundle of resources is a whole zip or tar archive, asked of its structure."""

from __future__ import annotations

import os
import zipfile
from functools import lru_cache

from crosprov.factory.blocks import Damaged
from crosprov.factory.tarballs import TAR_MAGIC, check_tar

_ZIP, _MEMBER = b"PK", b"PK\x03\x04"  # how an archive begins, and each member of one
_UNPACKED = 64 << 20  # bytes of a gzip file; only unpacking tells of one, which takes its time


def damage(path: str) -> str | None:
    """Tell what is wrong with a bundle, None when nothing is; raises OSError.

    It is looked at once as long as the file stays the same. Of a gzip file of more than 64 MB
    only the beginning is.
    """
    found = os.stat(path)
    return _damage(path, found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))


@lru_cache(maxsize=1000)
def _damage(path: str, size: int, identity: tuple[int, ...]) -> str | None:
    with open(path, "rb") as file:
        head = file.read(TAR_MAGIC + 5)
        if head.startswith(_ZIP):
            return _zip(path)
        try:
            check_tar(file, size, head, unpacks=size <= _UNPACKED)
        except Damaged as damaged:
            return str(damaged).replace("neither a tar archive", "neither a zip nor a tar archive")
    return None


def _zip(path: str) -> str | None:
    """Read the directory at the end of a zip archive, and look for its members' beginnings."""
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            for member in archive.infolist():
                file.seek(member.header_offset)
                if file.read(4) != _MEMBER:
                    return f"is damaged: its member {member.filename} is not where it should be"
    except (zipfile.BadZipFile, ValueError, RuntimeError) as error:  # of a method unknown here
        return f"is damaged, or was cut short: {str(error).lower()}"
    return None

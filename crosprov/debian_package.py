"""Read what a Debian package file on the controller is: its name, version and architecture."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import tarfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from crosprov.errors import PlanError

_AR = b"!<arch>\n"
_HEADER = 60  # bytes of the header of a member of an ar archive
_MOST = 16 * 1024 * 1024  # bytes of a control archive, packed and unpacked
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[A-Za-z0-9.+~:-]+")
_FILE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)_(?P<version>[^_]+)_(?P<architecture>[a-z0-9-]+)\.deb"
)


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """What a package file says of itself."""

    path: str
    name: str
    version: str
    architecture: str


def read_package(path: str) -> DebianPackage:
    """Read a package file; raises PlanError when it is none, or is cut short."""
    try:
        found = os.stat(path)
        return _read(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise PlanError(f"the package file {path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1000)
def _read(path: str, inode: int, size: int, mtime_ns: int) -> DebianPackage:
    if not path.endswith(".deb"):
        raise PlanError(f"{path} is not named as a package file, and apt takes only *.deb")
    with Path(path).open("rb") as file:
        name, content = _control_member(path, file, size)
    if name == "control.tar.zst":  # this Python has nothing that unpacks it
        return _by_file_name(path)
    try:
        return _by_control(path, _control(name, content))
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, KeyError):
        raise _broken(path) from None


def _control_member(path: str, file: BinaryIO, size: int) -> tuple[str, bytes]:
    """Find the control archive, and see that all members are whole."""
    if file.read(len(_AR)) != _AR:
        raise PlanError(f"{path} is not a Debian package file", hint="was its download an error?")
    found: tuple[str, bytes] | None = None
    place = len(_AR)
    names = []
    while place < size:
        file.seek(place)
        header = file.read(_HEADER)
        digits = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not digits.isdigit():
            raise _broken(path)
        length = int(digits)
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        names.append(name)
        if place + _HEADER + length > size:
            raise _broken(path)
        if name.startswith("control.tar") and length <= _MOST:
            found = name, file.read(length)
        place += _HEADER + length + length % 2
    if found is None or not any(name.startswith("data.tar") for name in names):
        raise _broken(path)
    return found


def _control(name: str, content: bytes) -> str:
    unpacked: bytes = content
    if name.endswith(".gz"):
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            unpacked = packed.read(_MOST)
    elif name.endswith(".xz"):
        unpacked = lzma.LZMADecompressor(memlimit=_MOST * 8).decompress(content, _MOST)
    with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
        for member in archive:
            if member.name.removeprefix("./") == "control" and member.isfile():
                file = archive.extractfile(member)
                if file is not None:
                    return file.read(_MOST).decode("utf-8", "replace")
    raise KeyError("control")


def _by_control(path: str, control: str) -> DebianPackage:
    lines = (line.partition(":") for line in control.splitlines() if not line.startswith(" "))
    fields = {key: value.strip() for key, _, value in lines}
    name, version = fields["Package"], fields["Version"]
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise _broken(path)
    return DebianPackage(path, name, version, fields["Architecture"])


def _by_file_name(path: str) -> DebianPackage:
    found = _FILE.fullmatch(Path(path).name)
    version = found["version"].replace("%3a", ":") if found else ""
    if found is None or not _VERSION.fullmatch(version):
        raise PlanError(
            f"{path} is packed with zstd, so only its name could tell what it is, and does not",
            hint="name it NAME_VERSION_ARCHITECTURE.deb, as it was published",
        )
    return DebianPackage(path, found["name"], version, found["architecture"])


def _broken(path: str) -> PlanError:
    return PlanError(
        f"{path} is not a whole Debian package file", hint="was its download cut short?"
    )

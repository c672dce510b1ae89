"""The deployment script within a checkout of the factory repository, or a factory bundle."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from crosprov.errors import PlanError
from crosprov.factory.release import MOST
from crosprov.inventory.factory import SCRIPT

_PLACE = ("setup", SCRIPT)
_DEPTH = 2  # folders around setup/, as archives of a release have one around everything
_IN_TREE = Path("src/platform/factory", *_PLACE)  # of a checkout of all of ChromiumOS
# zipfile: RuntimeError for an unknown way to compress, ValueError for a name in no known script.
_DAMAGES = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    ValueError,
)  # fmt: skip


def script_in(source: Path) -> tuple[bytes, str]:
    """Give the script of a folder, tar or zip, and the words that say where it was.

    It is setup/cros_docker.sh at the top, or up to two folders below; the one nearest to the
    top. Raises PlanError when there is none, more than one, or the source cannot be read.
    """
    try:
        if source.is_dir():
            found = _one(source, [str(path) for path in _in_folder(source)])
            return _limited(Path(found).read_bytes(), found), found
        seen = source.stat()
        content, name = _from_archive(source, (seen.st_ino, seen.st_size, seen.st_mtime_ns))
    except OSError as error:
        raise PlanError(
            f"the checkout {source} cannot be read: {error.strerror or error}",
            hint="paths are relative to the inventory",
        ) from None
    return content, f"{name} in {source}"


def _in_folder(folder: Path) -> list[Path]:
    for depth in range(_DEPTH + 1):
        if found := sorted(folder.glob("/".join(["*"] * depth + list(_PLACE)))):
            return found
    return [path for path in (folder / _IN_TREE,) if path.exists()]


@lru_cache(maxsize=100)
def _from_archive(source: Path, identity: tuple[int, ...]) -> tuple[bytes, str]:
    try:
        if zipfile.is_zipfile(source):
            return _from_zip(source)
        return _from_tar(source)
    except _DAMAGES as error:
        said = " ".join(str(error).split())
        raise PlanError(
            f"the checkout {source} is not a folder, and as a tar or zip archive it is damaged"
            + (f": {said[:200]}" if said else ""),
            hint="name the folder of a checkout, or a factory bundle as it was downloaded",
        ) from None


def _from_zip(source: Path) -> tuple[bytes, str]:
    with zipfile.ZipFile(source) as archive:
        files = {one.filename: one for one in archive.infolist() if not one.is_dir()}
        name = _nearest(source, files)
        if files[name].flag_bits & 1:
            raise PlanError(f"{name} in {source} is encrypted", hint="extract it, and name that")
        if files[name].file_size > MOST:
            return _limited(bytes(MOST + 1), f"{name} in {source}"), name
        return archive.read(files[name]), name


def _from_tar(source: Path) -> tuple[bytes, str]:
    """Read a tar once from front to back: its compressed data allow nothing else."""
    found: list[tuple[str, bytes]] = []
    with tarfile.open(source, "r|*") as archive:
        for member in archive:
            if member.isfile() and _depth(member.name) is not None:
                file = archive.extractfile(member)
                content = file.read(MOST + 1) if file else b""
                found.append((member.name, content))
                if _depth(member.name) == 0:
                    break  # nothing is nearer, and bundles have gigabytes
    name = _nearest(source, [name for name, _ in found])
    content = next(content for each, content in found if each == name)
    return _limited(content, f"{name} in {source}"), name


def _nearest(source: Path, names: Iterable[str]) -> str:
    """Choose the script's name among those of an archive."""
    depths = {name: depth for name in names if (depth := _depth(name)) is not None}
    least = min(depths.values(), default=0)
    return _one(source, [name for name, depth in depths.items() if depth == least])


def _depth(name: str) -> int | None:
    """Count the folders around setup/ in a member's name, None when it is not the script's."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.parts[-2:] != _PLACE:
        return None
    depth = len(path.parts) - 2
    return depth if depth <= _DEPTH else None


def _one(source: Path, found: list[str]) -> str:
    if not found:
        raise PlanError(
            f"the checkout {source} has no {'/'.join(_PLACE)}",
            hint="it must be the top of the factory repository, or a factory bundle",
        )
    if len(found) > 1:
        raise PlanError(
            f"the checkout {source} has several deployment scripts: {', '.join(found[:4])}",
            hint="name the one that is meant as script.file",
        )
    return found[0]


def _limited(content: bytes, where: str) -> bytes:
    if len(content) > MOST:
        raise PlanError(f"{where} has more than 5 MB, which no deployment script has")
    return content

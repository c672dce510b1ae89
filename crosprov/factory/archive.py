"""The archive of a backup on the controller: a tar, and in its last member what it must hold."""

from __future__ import annotations

import hashlib
import io
import math
import posixpath
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from crosprov.errors import CrosprovError
from crosprov.factory import manifest
from crosprov.factory.bundle import MANIFEST as BUNDLE_MANIFEST
from crosprov.factory.manifest import Entry, Manifest, Project, differences, worded
from crosprov.inventory.factory import SCRIPT

DATABASE = "dome/db.sqlite3"
ACTIVE = "active_umpire.json"
Tell = Callable[[int, int], None]  # bytes so far, and of all

_PIECE = 1024 * 1024
_MOST_KEPT = 1024 * 1024 * 1024  # bytes of a member that is taken into memory


@dataclass(slots=True)
class Content:
    """What an archive holds: its members, its sha256, and those members that are looked into."""

    entries: dict[str, Entry] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    sha256: str = ""
    listed: bool = False  # whether a list of what it holds begins anywhere
    whole: bool = False  # whether it ends as an archive does


def read(path: Path, tell: Tell = lambda done, size: None) -> Content:
    """Read an archive from its beginning to its end, once; what is cut short just ends earlier.

    Raises OSError when it cannot be read.
    """
    found = Content()
    with path.open("rb") as file:
        source = _Reading(file, path.stat().st_size, tell)
        try:
            with tarfile.open(fileobj=source, mode="r|") as archive:
                for member in archive:
                    _take(found, archive, member)
        except (tarfile.TarError, UnicodeError, ValueError):
            pass  # its members end here, and the manifest will be missing or lack one
        while source.read(_PIECE):
            pass
    found.sha256 = source.digest.hexdigest()
    found.listed, found.whole = source.listed, source.ends
    return found


def check(path: Path, tell: Tell = lambda done, size: None) -> Manifest:
    """Read an archive whole and hold it against its manifest.

    Raises CrosprovError, naming the file, for what is no backup, is damaged or was cut short.
    """
    try:
        found = read(path, tell)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise CrosprovError(message, hint="crosprov factory backup writes one") from None
    names = [name for name in found.entries if name.startswith(manifest.PREFIX)]
    if not names:
        raise _without_list(path, found)
    known = manifest.read(names[-1], found.kept.get(names[-1], b""))
    if known is None:
        raise CrosprovError(
            f"{path} is damaged, or of a newer crosprov: its list of what it holds cannot be read",
            hint=_HINT,
        )
    content = {name: entry for name, entry in found.entries.items() if name not in names}
    if wrong := differences(known.entries, content):
        raise CrosprovError(
            f"{path} is damaged: {worded(wrong)} is not as it was backed up", hint=_HINT
        )
    _check_names(path, known)
    return known


def _without_list(path: Path, found: Content) -> CrosprovError:
    """Say what a file is in which no list of a backup could be read."""
    if next(iter(found.entries), "") == BUNDLE_MANIFEST and SCRIPT in found.entries:
        return CrosprovError(
            f"{path} is a bundle, not a backup",
            hint="write it under factory_server.bundle; crosprov factory backup writes a backup",
        )
    if not found.listed and _TOPS.isdisjoint(name.split("/")[0] for name in found.entries):
        return CrosprovError(
            f"{path} is not a backup of crosprov", hint="crosprov factory backup writes one"
        )
    return CrosprovError(f"{path} is {'damaged' if found.whole else 'cut short'}", hint=_HINT)


def append(path: Path, known: Manifest) -> None:
    """Put the manifest at the end of an archive."""
    member = tarfile.TarInfo(known.name)
    text = known.text
    member.size, member.mode = len(text), 0o600
    with tarfile.open(path, "a:", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(text))


def projects(database: bytes) -> tuple[Project, ...]:
    """Read the projects out of a copy of Dome's database; raises ValueError for a torn one."""
    # A copy is whole in itself; without its log it is only opened when it claims to have none.
    database = database[:18] + b"\1\1" + database[20:]
    try:
        with closing(sqlite3.connect(":memory:")) as base:
            base.deserialize(database)
            if (said := base.execute("PRAGMA quick_check").fetchone()) != ("ok",):
                raise ValueError(str(said[0]) if said else "it says nothing")
            rows = base.execute(
                "SELECT name, umpire_enabled, umpire_port FROM backend_project ORDER BY name"
            ).fetchall()
    except sqlite3.Error as error:
        raise ValueError(str(error)) from None
    return tuple(Project(name=name, enabled=bool(on), port=port) for name, on, port in rows)


def unsettled(entries: dict[str, Entry], known: tuple[Project, ...]) -> list[str]:
    """Name the active configurations that lead nowhere.

    Umpire deploys by removing the link, making it anew, and cleaning up old resources by and by;
    an enabled project that has resources has its link, too.
    """
    links = {path for path in entries if path.startswith("umpire/") and path.endswith(ACTIVE)}
    expected = {f"umpire/{project.name}/{ACTIVE}" for project in known if project.enabled}
    lacking = {
        path for path in expected - links if f"{path.removesuffix(ACTIVE)}resources" in entries
    }
    stale = {path for path in links if _target(path, entries[path]) not in entries}
    return sorted(lacking | stale)


def _target(path: str, link: Entry) -> str:
    """Give what a link of an Umpire leads to, as a path of the shared folder."""
    if link.kind != "l":
        return path
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link.target))


def _take(found: Content, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    name = member.name.removeprefix("./").rstrip("/")
    if member.islnk():
        same = found.entries.get(member.linkname.removeprefix("./"))
        if same is None:
            raise ValueError(f"{name} is a link to nothing")
        found.entries[name] = same
        return
    size, digest = 0, ""
    if member.isreg():
        file = archive.extractfile(member)
        size, digest, data = _digested(file, _wanted(name) and member.size <= _MOST_KEPT)
        if data is not None:
            found.kept[name] = data
    found.entries[name] = Entry(
        kind=_kind(member), mode=stat.S_IMODE(member.mode), uid=member.uid, gid=member.gid,
        time=math.floor(member.mtime), size=size, sha256=digest,
        target=member.linkname if member.issym() else "",
    )  # fmt: skip


def _wanted(name: str) -> bool:
    return name == DATABASE or name.startswith(manifest.PREFIX)


def _digested(file: IO[bytes] | None, keep: bool) -> tuple[int, str, bytes | None]:
    size, digest, kept = 0, hashlib.sha256(), bytearray()
    while file is not None and (piece := file.read(_PIECE)):
        size += len(piece)
        digest.update(piece)
        if keep:
            kept += piece
    return size, digest.hexdigest(), bytes(kept) if keep else None


def _kind(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.FIFOTYPE: "p",
        tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b",
    }  # fmt: skip
    return "f" if member.isreg() else kinds.get(member.type, "?")


def _check_names(path: Path, known: Manifest) -> None:
    """Refuse an archive that would write elsewhere than in its folder."""
    for name in known.entries:
        parts = name.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        # What is above a file is a folder, or is left to tar to make.
        if ".." in parts or "" in parts or any(
            known.entries[folder].kind != "d" for folder in above if folder in known.entries
        ):  # fmt: skip
            raise CrosprovError(f"{path} would write elsewhere: {worded([name])}", hint=_HINT)


_LIST = manifest.PREFIX.encode()
_END = 2 * tarfile.BLOCKSIZE  # zeros at the end of an archive
_TOPS = frozenset({"dome", "umpire"})  # folders of a factory server
_HINT = "take another copy of it; nothing was touched"


class _Reading(io.RawIOBase):
    """A file that is read once, with the digest of what was read."""

    def __init__(self, file: IO[bytes], size: int, tell: Tell) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self._file = file
        self._size = size
        self._tell = tell
        self._done = 0
        self._last = b""
        self.listed = False

    @property
    def ends(self) -> bool:
        """Tell whether what was read to its end is a whole number of records, the last empty."""
        return self._done % tarfile.RECORDSIZE == 0 and self._last == bytes(_END)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.listed = self.listed or self._lists(data)
        self._last = (self._last + data[-_END:])[-_END:]
        self._done += len(data)
        self._tell(self._done, self._size)
        return data

    def _lists(self, data: bytes) -> bool:
        """Look for the header of a list, which begins a block."""
        place = data.find(_LIST)
        while place >= 0:
            if (self._done + place) % tarfile.BLOCKSIZE == 0:
                return True
            place = data.find(_LIST, place + 1)
        return False

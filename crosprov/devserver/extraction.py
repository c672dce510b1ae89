"""Taking archives apart: nothing of them gets anywhere but into one new folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from crosprov.devserver.artifacts import Artifact
from crosprov.devserver.failures import Refused
from crosprov.devserver.members import BROKEN, PIECE, Member, members_of
from crosprov.devserver.space import FULL, Held

MOST_MEMBERS = 1_000_000


def extract(
    archive: Path, artifact: Artifact, into: Path, held: Held, tick: Callable[[], None]
) -> tuple[str, ...]:
    """Unpack what an artifact stores of an archive into a folder that is made for it.

    The kind of archive (tar, also compressed by gzip, bzip2 or xz; zip) is seen from its bytes.
    Gives the paths of files and links below the folder. `tick` is called often, and may raise.
    Raises Refused(502) for an archive that is broken or would write anywhere else (an absolute
    path, `..`, a link that leads out, a device), Refused(507) when the disk is too small.
    """
    into.mkdir()
    unpacker = _Unpacker(artifact, into, held, tick)
    try:
        with members_of(archive) as members:
            for number, member in enumerate(members):
                if number >= MOST_MEMBERS:
                    raise _evil(held.what, f"more than {MOST_MEMBERS} members")
                unpacker.take(member)
                if artifact.member is not None and unpacker.paths:
                    break
    except OSError as error:
        if error.errno is not None:
            raise
        raise Refused(502, f"{held.what} is no archive that can be unpacked ({error})") from None
    except BROKEN as error:
        words = str(error)[:100] or type(error).__name__
        raise Refused(502, f"{held.what} is no archive that can be unpacked ({words})") from None
    return unpacker.finish()


class _Unpacker:
    """Write members into a folder.

    Files are created in folders that this object made itself, and symbolic links only after
    everything else, so no link is ever followed while something is written.
    """

    def __init__(
        self, artifact: Artifact, into: Path, held: Held, tick: Callable[[], None]
    ) -> None:
        self._artifact = artifact
        self._into = into
        self._held = held
        self._tick = tick
        self._links: dict[str, str] = {}
        self.paths: dict[str, None] = {}

    def take(self, member: Member) -> None:
        """Unpack a member, when the artifact wants it; it is checked in any case."""
        self._tick()
        path = self._checked(member)
        if not path or not self._is_wanted(path):
            return
        place = self._into / path
        try:
            self._put(member, path, place)
        except OSError as error:
            if error.errno is None or error.errno in FULL:
                raise  # of the archive (bz2 tells so that it is broken), or the disk is full
            raise self._evil(f"{_shown(path)} cannot be stored: {error.strerror}") from None

    def finish(self) -> tuple[str, ...]:
        """Make the symbolic links; gives all paths. Raises Refused when nothing was wanted."""
        for path, target in self._links.items():
            place = self._into / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(target)
            except OSError as error:
                raise self._evil(f"{_shown(path)} cannot be stored: {error.strerror}") from None
            self.paths[path] = None
        if not self.paths:
            wanted = self._artifact.member or self._artifact.only or "files"
            raise Refused(502, f"{self._held.what} holds no {wanted}")
        return tuple(self.paths)

    def _put(self, member: Member, path: str, place: Path) -> None:
        if member.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        self._links.pop(path, None)
        if member.kind == "link":
            self._links[path] = member.target
            return
        place.unlink(missing_ok=True)
        if member.kind == "twin":
            self._twin(member, place)
        else:
            self._file(member, place)
        self.paths[path] = None

    def _file(self, member: Member, place: Path) -> None:
        self._held.more(member.size)
        number = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "wb", buffering=0) as file:
            source = member.open() if member.open is not None else None
            left = member.size
            while source is not None and left > 0 and (piece := source.read(min(PIECE, left))):
                self._tick()
                left -= file.write(piece)
            if left:
                raise EOFError(f"{member.path} ends {left} bytes too early")
            os.fchmod(number, 0o755 if member.is_executable else 0o644)

    def _twin(self, member: Member, place: Path) -> None:
        """Give a file a second name; only what was unpacked here can have one."""
        target = _normal(member.target)
        if target is None or target not in self.paths:
            raise self._evil(f"{_shown(member.path)} is a link to what is not unpacked from it")
        os.link(self._into / target, place, follow_symlinks=False)

    def _checked(self, member: Member) -> str:
        """Give a member's path in plain form, "" for the folder itself."""
        path = _normal(member.path)
        if path is None:
            raise self._evil(f"{_shown(member.path)} leads out of the build's folder")
        if path.startswith("."):
            raise self._evil(f"{_shown(path)} has a name that the dev server keeps for itself")
        if member.kind == "other":
            raise self._evil(f"{_shown(path)} is neither a file, a folder, nor a link")
        if member.kind == "link" and not _stays_inside(path, member.target):
            raise self._evil(f"{_shown(path)} is a link that leads out of the build's folder")
        return path

    def _is_wanted(self, path: str) -> bool:
        artifact = self._artifact
        if artifact.member is not None:
            return path == artifact.member
        if artifact.only is not None and not _is_below(path, artifact.only):
            return False
        return artifact.without is None or not _is_below(path, artifact.without)

    def _evil(self, what: str) -> Refused:
        return _evil(self._held.what, what)


def _evil(archive: str, what: str) -> Refused:
    return Refused(502, f"{archive} is not unpacked: {what}")


def _normal(path: str) -> str | None:
    """Write a member's path without dots and doubled slashes; None when it leads elsewhere."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or "\\" in parts:
        return None
    return "/".join(parts)


def _stays_inside(path: str, target: str) -> bool:
    """Tell whether a symbolic link cannot lead out, whatever other links there are.

    It may go up first, never higher than the top, and then only down: a `..` behind a name
    could follow another link to a place that is not above it here.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    if not target or target.startswith("/") or "\0" in target:
        return False
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    return ".." not in parts[up:] and up <= path.count("/")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _shown(path: str) -> str:
    return repr(path if len(path) <= 100 else f"{path[:100]}…")

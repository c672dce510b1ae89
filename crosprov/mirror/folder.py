"""A mirror in a folder: files appear whole, under names that nothing had, and then stay."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from crosprov.mirror import record
from crosprov.mirror.digests import computable
from crosprov.mirror.hashing import Sum, digesting
from crosprov.mirror.layouts import NAME
from crosprov.mirror.ledger import Proof
from crosprov.mirror.looking import account, owner
from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.stores import PIECE, Altered, Exists, Missing, Stored

INCOMING = ".crosprov-incoming"  # what is not whole yet; no listing and no web server shows it
SENT = "sent-"  # in INCOMING: what another machine sends, which nobody waits for after a day


class Folder:
    """A folder whose files are never changed or removed."""

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/") or "/"

    @property
    def incoming(self) -> Path:
        """Name the folder, on the same file system, for files that are on their way."""
        return Path(self.place, INCOMING)

    def list(self) -> Mapping[str, Stored]:
        """List the regular files, and links to such; folders and dot-files are not seen."""
        found = {}
        try:
            with os.scandir(self.place) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name == NAME:
                        continue
                    status = _status(entry)
                    if status is not None and stat.S_ISREG(status.st_mode):
                        found[entry.name] = _described(entry.name, status)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Fault(
                f"the folder cannot be listed: {error.strerror}", where=self.place
            ) from None
        return found

    def find(self, name: str) -> Stored | None:
        """Describe a regular file."""
        try:
            status = os.stat(self._path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._fault(name, "looked up", error) from None
        return _described(name, status) if stat.S_ISREG(status.st_mode) else None

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from an offset on."""
        try:
            with open(self._path(name), "rb", buffering=0) as file:
                file.seek(offset)
                while piece := file.read(PIECE):
                    yield piece
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(self.place, name) from None
        except OSError as error:
            raise self._fault(name, "read", error) from None

    def create(self, name: str, content: Path, archive: Archive) -> Stored:
        """Publish a file: a hard link of a finished one, which fails when the name is taken.

        A content that lies in `incoming` is a proven part, which lasts as it is and is moved;
        whoever does that with many files settles them together. Any other is copied, proven by
        that, and written into the record of what was published.
        """
        problem = problem_of_name(name)
        if problem:
            raise Fault(f"{name!r} cannot be the name of a file: {problem}", where=self.place)
        is_own = content.parent == self.incoming
        ready = content if is_own else self._copy(content, archive)
        try:
            if is_own:
                return self._publish(name, ready)
            with record.recorded(self.place, replace(archive, name=name)):
                stored = self._publish(name, ready)
                sync_folder(self.place)
                return stored
        except OSError as error:
            raise self._fault(name, "published", error) from None
        finally:
            if not is_own:
                _drop(ready)

    def published(self) -> Mapping[str, Proof]:
        """Give what was written down of the files that people published."""
        return record.read_record(self.place)

    def remember(self, archive: Archive) -> None:
        """Write down a file that is there and was proven, unless that is known already."""
        record.remember(self.place, archive)

    def may_create(self) -> bool:
        """Tell whether this account may make files in the folder."""
        return os.access(self.place, os.W_OK | os.X_OK)

    def settle(self) -> None:
        """Make sure that the names of files outlast a loss of power; raises Fault."""
        try:
            sync_folder(self.place)
        except FileNotFoundError:
            return  # nothing was published
        except OSError as error:
            raise Fault(f"the folder cannot be kept: {error.strerror}", where=self.place) from None

    def _publish(self, name: str, ready: Path) -> Stored:
        path = self._path(name)
        try:
            os.link(ready, path)
        except FileExistsError:
            return self._compared(name, ready)
        os.unlink(ready)
        return replace(_described(name, os.stat(path)), is_new=True)

    def _compared(self, name: str, ready: Path) -> Stored:
        """Describe what has the name when it has the same content; else raise Exists."""
        stored = self.find(name)
        if stored is None or stored.size != ready.stat().st_size:
            raise Exists(self.place, name, stored)
        with open(ready, "rb", buffering=0) as file:
            for piece in self.read(name):
                if piece != file.read(len(piece)):
                    raise Exists(self.place, name, stored)
        ready.unlink()
        return stored

    def _copy(self, content: Path, archive: Archive) -> Path:
        """Copy a content to where it can be published from; raises Altered."""
        target = self.make_incoming() / f"copy-{os.getpid()}-{os.urandom(8).hex()}"
        size = 0
        try:
            with open(content, "rb", buffering=0) as source, open(target, "xb") as file:
                with digesting(computable(archive.hashes), archive.size) as digests:
                    while piece := source.read(PIECE):
                        size += len(piece)
                        digests.update(piece)
                        file.write(piece)
                    difference = Sum(size, digests.digests()).difference(archive)
                if difference:
                    raise Altered(f"the content has {difference}", where=str(content))
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
        except OSError as error:
            _drop(target)
            raise self._refused(f"{content.name} cannot be copied there", error) from None
        except BaseException:
            _drop(target)
            raise
        return target

    def make_incoming(self) -> Path:
        """Make the folder for what is on its way, and the mirror's own folder."""
        try:
            os.makedirs(self.place, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(self.incoming, 0o700)
        except OSError as error:
            what = "no file can be put into the folder"
            if not os.path.isdir(self.place):
                what = "the folder cannot be made"
            raise self._refused(what, error) from None
        return self.incoming

    def _refused(self, what: str, error: OSError) -> Fault:
        """Word why nothing can be written; who may write is what the mirror's folder says."""
        hint = None
        if isinstance(error, PermissionError):
            there = self.incoming if os.path.isdir(self.incoming) else Path(self.place)
            hint = f"the account {account()} may not write to {there}; do it as {owner(there)}"
        if error.errno == errno.EROFS:
            hint = "the file system is mounted read-only"
        return Fault(f"{what}: {error.strerror}", hint=hint, where=self.place)

    def _path(self, name: str) -> str:
        return f"{self.place}/{name}"

    def _fault(self, name: str, what: str, error: OSError) -> Fault:
        return fault_of(self.place, name, what, error)


class Full(Fault):
    """There is no space left."""


def fault_of(place: str, name: str, what: str, error: OSError) -> Fault:
    """Word why a file cannot be read or written; Full where space is what lacks."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full(
            f"there is no space left for {name}",
            hint="what was published stays; make room, and the next sync goes on from here",
            where=place,
        )
    if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK):
        hint = "the file system must know hard links, and hold the folder as a whole"
        return Fault(f"{name} cannot be {what}: {error.strerror}", hint=hint, where=place)
    may = f"let the account {account()} do that, or run this as one that may"
    denied = may if error.errno == errno.EACCES else None
    return Fault(f"{name} cannot be {what}: {error.strerror}", hint=denied, where=place)


def sync_folder(path: str | Path) -> None:
    """Make sure that the names in a folder outlast a loss of power."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _drop(path: Path) -> None:
    """Remove a copy of this run, unless it is gone or may not be reached."""
    with suppress(OSError):
        path.unlink()


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # removed meanwhile, or a link to nothing
        return None


def _described(name: str, status: os.stat_result) -> Stored:
    mark = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return Stored(name, status.st_size, mark)

"""Where a mirror's files lie: what any such place can do, and how one is opened.

No place changes or removes a file that it has: there is no method for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from crosprov.mirror.ledger import Proof
from crosprov.mirror.model import Archive, Fault

PIECE = 512 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """Describe a file that a store has.

    `mark` names this content of the file: inode and times of change in a folder, the generation
    in a bucket; while it stays, so does what was proven. `hashes` is what the store itself
    vouches for: MD5 and CRC32C of a bucket, as lower-case hexadecimal digits. `is_new` says of
    what `create` gives that it was this call that published it.
    """

    name: str
    size: int
    mark: str
    hashes: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_new: bool = field(default=False, compare=False)


class Exists(Fault):
    """Another content has the name already; `stored` describes it where it is a file."""

    def __init__(self, place: str, name: str, stored: Stored | None) -> None:
        what = f"with another content ({stored.size} bytes)" if stored else "and is no file"
        super().__init__(
            f"{name} is there already, {what}; a mirror never changes what it has",
            hint=f"publish under a new name, such as {new_name(name)}",
            where=place,
        )
        self.name = name
        self.stored = stored


class Unavailable(Fault):
    """The store did not answer, or broke off; it may work at another time."""


class Altered(Fault):
    """The content to be published is not what it was said to be; nothing was published."""


class Store(Protocol):
    """A mirror's files. All methods raise Fault, and Unavailable for what may pass."""

    place: str

    def list(self) -> Mapping[str, Stored]:
        """List all files by name, in one go; layout.conf is none of them."""
        ...

    def find(self, name: str) -> Stored | None:
        """Describe one file; None when there is none."""
        ...

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from an offset on; raises Missing when there is none."""
        ...

    def create(self, name: str, content: Path, archive: Archive) -> Stored:
        """Publish a local file under a name, all at once, only if nothing has that name.

        The content is compared with the archive's size and hashes before. When the same content
        is there already, that is success, too. Raises Exists and Altered.
        """
        ...


@runtime_checkable
class Recording(Protocol):
    """A store beside whose files is written down what people published there."""

    def published(self) -> Mapping[str, Proof]:
        """Give what was written down, by name."""
        ...

    def remember(self, archive: Archive) -> None:
        """Write down a file that is there and was proven, unless that is known already."""
        ...


class Missing(Fault):
    """There is no such file."""

    def __init__(self, place: str, name: str) -> None:
        super().__init__(f"there is no {name}", where=place)


def open_store(
    place: str,
    *,
    credentials: Path | None = None,
    endpoint: str | None = None,
    acl: str | None = None,
) -> Store:
    """Open a folder, or `gs://bucket/prefix`; nothing is asked or made by that.

    `credentials` is a file of Google's, without it the bucket is used anonymously; `endpoint`
    is another address of Google Storage's API; `acl` (`public-read`, `project-private`) is what
    new files get in a bucket whose access is not uniform. Raises Fault.
    """
    if place.startswith("gs://"):
        from crosprov.mirror.bucket import Bucket

        return Bucket(place, credentials=credentials, endpoint=endpoint, acl=acl)
    if not place.startswith("/"):
        raise Fault(f"{place} is no store", hint="name an absolute folder or gs://bucket/prefix")
    from crosprov.mirror.folder import Folder

    return Folder(place)


def new_name(name: str) -> str:
    """Suggest a name for another content: Gentoo's manual advises a date behind the version."""
    stem, dot, ending = name.partition(".tar.")
    if not dot:
        stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    return f"{stem}_YYYYMMDD{dot}{ending}"

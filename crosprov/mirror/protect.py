"""What keeps a mirror immutable: looked at, and set where that is possible."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from crosprov.mirror.findings import several
from crosprov.mirror.measures import Measure
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault
from crosprov.mirror.stores import Store

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Protection:
    """Hold how a mirror is protected."""

    mirror: str
    measures: tuple[Measure, ...]

    @property
    def good(self) -> bool:
        """Tell whether nothing weak was found; what cannot be seen does not count."""
        return all(measure.state != "weak" for measure in self.measures)


def protect(
    mirror: Mirror,
    *,
    change: bool = False,
    administrators: Collection[str] = (),
    store: Store | None = None,
) -> Protection:
    """Say what keeps a mirror's files from being changed or lost; with `change`, set it.

    `administrators` are the members (`user:…`, `group:…`) who may replace files, knowingly.
    What was weak before and is not any more is `set`. Raises Fault when the mirror cannot be
    looked at, or refuses the change of its roles.
    """
    if mirror.in_bucket:
        return _protect_bucket(mirror, store, change, administrators)
    access: FolderAccess = _LocalFolder(Path(mirror.store))
    if isinstance(store, FolderAccess):
        access = store
    before = tuple(_folder_measures(access))
    if change and any(one.state == "weak" for one in before):
        access.strengthen()
        return Protection(mirror.name, _compared(before, tuple(_folder_measures(access))))
    return Protection(mirror.name, before)


def _protect_bucket(
    mirror: Mirror, store: Store | None, change: bool, administrators: Collection[str]
) -> Protection:
    from crosprov.mirror.bucket import Bucket
    from crosprov.mirror.bucket_roles import Roles
    from crosprov.mirror.bucket_settings import Settings

    opened = store or mirror.open()
    if not isinstance(opened, Bucket):
        raise Fault(f"{opened.place} is no bucket")
    bucket = opened.client.bucket(mirror.bucket)
    place = f"gs://{mirror.bucket}"
    anonymous = opened.is_anonymous
    settings = Settings(bucket, place, public=mirror.public, anonymous=anonymous)
    roles = Roles(
        bucket, place, public=mirror.public, administrators=administrators, anonymous=anonymous
    )
    before = (*settings.measures(), *roles.measures())
    if not change:
        return Protection(mirror.name, before)
    refused = {measure.subject: measure for measure in settings.strengthen()}
    roles.strengthen()
    after = _compared(before, (*settings.measures(), *roles.measures()))
    told = (refused.get(one.subject, one) if one.state == "weak" else one for one in after)
    return Protection(mirror.name, tuple(told))


def _compared(before: tuple[Measure, ...], after: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Mark what was weak and is good now."""
    weak = {one.subject for one in before if one.state == "weak"}
    return tuple(
        Measure(one.subject, "set", one.sentence)
        if one.state == "good" and one.subject in weak
        else one
        for one in after
    )


@runtime_checkable
class FolderAccess(Protocol):
    """Look at who may write in a mirror's folder, here or on its host, and take that right away."""

    def writable(self) -> Sequence[str]:
        """Name the files that somebody may write to."""
        ...

    def mode(self) -> int:
        """Give the mode of the folder itself."""
        ...

    def strengthen(self) -> None:
        """Take the right to write from files, and from others than the folder's owner."""
        ...


def _folder_measures(folder: FolderAccess) -> Iterator[Measure]:
    writable = folder.writable()
    if writable:
        yield Measure(
            "files",
            "weak",
            f"{several(len(writable), 'file')} can be written to, such as {min(writable)}",
            "crosprov mirror protect --set takes that right away",
            settable=True,
        )
    else:
        yield Measure("files", "good", "no file can be written to")
    if _is_shared(folder.mode()):
        sentence = "others than the folder's owner can remove and replace files in it"
        hint = "crosprov mirror protect --set leaves that to its owner"
        yield Measure("folder", "weak", sentence, hint, settable=True)
    else:
        yield Measure("folder", "good", "only its owner can remove files from it")
    yield Measure(
        "other ways",
        "unseen",
        "root, the disk's own snapshots, and whoever can reach the disk otherwise are not seen",
        "crosprov mirror verify finds what was changed by such a way",
    )


def _is_shared(mode: int) -> bool:
    return bool(mode & (stat.S_IWGRP | stat.S_IWOTH)) and not mode & stat.S_ISVTX


class _LocalFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def writable(self) -> list[str]:
        return [path.name for path in self._files() if path.stat().st_mode & _WRITABLE]

    def mode(self) -> int:
        return stat.S_IMODE(self._folder.stat().st_mode)

    def strengthen(self) -> None:
        try:
            for path in self._files():
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & _WRITABLE:
                    path.chmod(mode & ~_WRITABLE)
            if _is_shared(self.mode()):
                self._folder.chmod(self.mode() & ~(stat.S_IWGRP | stat.S_IWOTH))
        except OSError as error:
            raise Fault(
                f"the right to write cannot be taken away: {error.strerror}",
                hint="run it as the owner of the mirror's files",
                where=str(error.filename or self._folder),
            ) from None

    def _files(self) -> list[Path]:
        """List the files that a mirror offers; links are left to what they lead to."""
        try:
            return [
                path
                for path in self._folder.iterdir()
                if not path.name.startswith(".") and path.is_file() and not path.is_symlink()
            ]
        except OSError as error:
            raise Fault(
                f"the folder cannot be listed: {error.strerror}", where=str(self._folder)
            ) from None

"""Where a mirror gets its files: mirrors on the web, folders, buckets, rsync, and SRC_URIs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from crosprov.mirror import layouts
from crosprov.mirror.model import Fault
from crosprov.mirror.part import Broken, Part, Reason
from crosprov.mirror.rsync import Rsync, RsyncError
from crosprov.mirror.stores import PIECE, Missing, Store, Unavailable, open_store
from crosprov.mirror.uris import address
from crosprov.mirror.web import Web, server_of, shown

_SCHEMES = ("http://", "https://", "rsync://")


class Upstream(Protocol):
    """Something that may have a file. `host` is what requests are counted by."""

    name: str
    host: str

    def fetch(self, part: Part) -> None:
        """Append a file's bytes to a part, from where it ends; raises Broken and Fault."""
        ...


def check_upstream(place: str) -> None:
    """Raise Fault for what cannot be opened as a mirror; nothing is asked by that."""
    if place.startswith(("/", "gs://")) or _server_of(place):
        return
    known = place.startswith(_SCHEMES)
    raise Fault(
        f"{shown(place)} is no upstream{', as it names no server' if known else ''}",
        hint="name an address of http, https or rsync, gs://bucket/prefix, or an absolute folder",
    )


def _server_of(place: str) -> str | None:
    """Name the server of an address that mirrors have; None for what is no such address."""
    try:
        return urlsplit(place).hostname if place.startswith(_SCHEMES) else None
    except ValueError:  # brackets that hold no address of IPv6
        return None


@dataclass(frozen=True, slots=True)
class Opener:
    """Open upstreams; `credentials` and `endpoint` are for those of Google Storage."""

    web: Web
    credentials: Path | None = None
    endpoint: str | None = None

    def mirror(self, place: str) -> Upstream:
        """Open a mirror; nothing is asked by that. Raises Fault.

        As in GENTOO_MIRRORS, `/distfiles` is added to an address that does not end with it, and
        never to a folder; nor is it to `gs://`, whose folder is named in full.
        """
        check_upstream(place)
        if place.startswith(("/", "gs://")):
            return StoreUpstream(self.store(place))
        base = place.rstrip("/")
        if not base.endswith("/distfiles"):
            base = f"{base}/distfiles"
        if base.startswith("rsync:"):
            return RsyncUpstream(base)
        return WebUpstream(base, self.web)

    def store(self, place: str) -> Store:
        """Open a folder or a bucket."""
        return open_store(place, credentials=self.credentials, endpoint=self.endpoint)


class Origins:
    """Open the addresses that ebuilds name; those of other kinds than these are passed over."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._stores: dict[str, Store] = {}

    def of(self, uris: Iterable[str]) -> Iterator[Upstream]:
        """Give those of http, https and gs."""
        for uri in uris:
            scheme, _, rest = uri.partition("://")
            if scheme.lower() in ("http", "https"):
                yield WebFile(uri, self._opener.web)
            elif scheme == "gs" and "/" in rest:
                folder, _, name = uri.rpartition("/")
                yield StoreFile(self._store(folder), name)

    def _store(self, folder: str) -> Store:
        with self._lock:
            if folder not in self._stores:
                self._stores[folder] = self._opener.store(folder)
            return self._stores[folder]


class _Arranged:
    """A mirror whose files lie as its layout.conf says; that is read once, when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._layouts: tuple[layouts.Layout, ...] | None = None

    def paths(self, part: Part, read: Callable[[], bytes | None]) -> Iterable[str]:
        """Give the paths where a file may lie, the best first."""
        with self._lock:
            if self._layouts is None:
                self._layouts = layouts.read_layouts(read())
        found = (layout.path(part.archive) for layout in self._layouts)
        return [path for path in found if path is not None]


def _first(paths: Iterable[str], fetch: Callable[[str], None]) -> None:
    """Fetch from the first path that has the file; raises Broken."""
    lacking = Broken(Reason.LACKS, "it has no name for this file in its layout")
    for path in paths:
        try:
            fetch(path)
            return
        except Broken as broken:
            if broken.reason is not Reason.LACKS:
                raise
            lacking = broken
    raise lacking


class WebUpstream(_Arranged):
    """A mirror on the web."""

    def __init__(self, base: str, web: Web) -> None:
        super().__init__()
        self.name = shown(base)
        self.host = server_of(base)
        self._base = base
        self._web = web

    def fetch(self, part: Part) -> None:
        """Fetch a file from where the layout has it."""
        paths = self.paths(part, self._layout)
        _first(paths, lambda path: self._web.fetch(self._address(path), part))

    def _layout(self) -> bytes | None:
        return self._web.get(f"{self._base}/{layouts.NAME}", layouts.LARGEST)

    def _address(self, path: str) -> str:
        folder, slash, name = path.rpartition("/")
        return address(f"{self._base}{slash}{folder}", name)


class WebFile:
    """A file at the address that an ebuild names."""

    def __init__(self, url: str, web: Web) -> None:
        self.name = shown(url)
        self.host = server_of(url)
        self._url = url
        self._web = web

    def fetch(self, part: Part) -> None:
        """Fetch it."""
        self._web.fetch(self._url, part)


class StoreUpstream(_Arranged):
    """A mirror in a folder or a bucket."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.name = self.host = store.place
        self._store = store

    def fetch(self, part: Part) -> None:
        """Copy a file from where the layout has it."""
        if self.name.startswith("/") and not Path(self.name).is_dir():
            raise Broken(Reason.UNREACHABLE, "there is no such folder")
        paths = self.paths(part, self._layout)
        _first(paths, lambda path: _copy(self._store, path, part))

    def _layout(self) -> bytes | None:
        content = b""
        for piece in _asked(self._store.read(layouts.NAME), missing_is_end=True):
            content += piece
            if len(content) > layouts.LARGEST:
                return None
        return content or None


class StoreFile:
    """A file of a bucket that an ebuild names."""

    def __init__(self, store: Store, file: str) -> None:
        self.name = f"{store.place}/{file}"
        self.host = store.place
        self._store = store
        self._file = file

    def fetch(self, part: Part) -> None:
        """Copy it."""
        _copy(self._store, self._file, part)


def _copy(store: Store, path: str, part: Part) -> None:
    """Append a stored file's bytes to a part; raises Broken, and Fault for the part's own."""
    if part.done and not part.is_provable:
        part.restart()
    part.resumed = part.resumed or bool(part.done)
    for piece in _asked(store.read(path, part.done)):
        part.take(piece)
        part.bandwidth.take(len(piece))


def _asked(pieces: Iterator[bytes], *, missing_is_end: bool = False) -> Iterator[bytes]:
    """Yield what a store gives; its faults are the upstream's, and not the mirror's own."""
    while True:
        try:
            piece = next(pieces, b"")
        except Missing:
            if missing_is_end:
                return
            raise Broken(Reason.LACKS, "it has no such file") from None
        except Unavailable as fault:
            raise Broken(Reason.UNREACHABLE, fault.sentence, passing=True) from None
        except Fault as fault:
            raise Broken(Reason.REFUSED, fault.sentence) from None
        if not piece:
            return
        yield piece


class RsyncUpstream(_Arranged):
    """A mirror of an rsync server, asked with the rsync program."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.name = shown(base)
        self.host = server_of(base)
        self._rsync = Rsync(base)

    def fetch(self, part: Part) -> None:
        """Fetch a file, whole: what is there of it does not count."""
        _first(self.paths(part, lambda: self._layout(part)), lambda path: self._copy(path, part))

    def _layout(self, part: Part) -> bytes | None:
        path = self._get(layouts.NAME, part)
        if path is None:
            return None
        try:
            return path.read_bytes() if path.stat().st_size <= layouts.LARGEST else None
        finally:
            path.unlink()

    def _copy(self, name: str, part: Part) -> None:
        path = self._get(name, part)
        if path is None:
            raise Broken(Reason.LACKS, "it has no such file")
        part.restart()
        try:
            with open(path, "rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    part.take(piece)
        finally:
            path.unlink()

    def _get(self, name: str, part: Part) -> Path | None:
        target = part.path.with_name(f"{part.path.name}.rsync")
        try:
            return self._rsync.get(name, target, part.bandwidth)
        except RsyncError as error:
            raise Broken(Reason.UNREACHABLE, error.sentence, passing=error.passing) from None

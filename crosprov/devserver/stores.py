"""Where builds are downloaded from: Google Storage, web servers, local folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from crosprov.devserver.failures import Refused
from crosprov.devserver.options import Options
from crosprov.devserver.websources import WebSources

CONNECT_WITHIN, READ_WITHIN = 10.0, 20.0  # seconds
PIECE = 1024 * 1024  # bytes

NOWHERE = WebSources()

Write = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a source, as the store describes it; None for what it does not say.

    `crc32c` and `md5` are digests in base64, as Google Storage writes them. `generation` names
    this content of the file: another one has another generation. `is_gzipped`: what is stored
    is compressed, and clients expect it unpacked.
    """

    name: str
    size: int | None
    crc32c: str | None = None
    md5: str | None = None
    generation: str | None = None
    is_gzipped: bool = False


class Interrupted(Exception):
    """Say that a store failed in a way that may pass: it is worth another attempt.

    `status` is the status of HTTP for a client when all attempts ended so.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Store(Protocol):
    """A folder that a build is downloaded from.

    All methods raise Refused for what stays wrong, and Interrupted for what may pass.
    """

    source: str

    def list(self) -> tuple[Entry, ...]:
        """List the files directly in the folder; Refused(400) where the store lists nothing."""
        ...

    def find(self, name: str) -> Entry | None:
        """Describe one file, None when it is not there."""
        ...

    def read(self, entry: Entry, write: Write, offset: int = 0) -> None:
        """Write the bytes of this very generation from an offset on; Refused(409) without it."""
        ...


def opener(options: Options) -> Callable[[str], Store]:
    """Give what opens sources as the options want it; raises Refused(500) for wrong ones."""
    return partial(
        open_store,
        credentials=options.credentials,
        endpoint=options.storage_endpoint,
        web=web_sources(options),
    )


def web_sources(options: Options) -> WebSources:
    """Give the web servers that the options allow; that of the archive needs no further word."""
    archive = () if options.archive.startswith("gs://") else (options.archive,)
    return WebSources((*options.web_source, *archive))


def open_store(
    source: str,
    credentials: str | Path | None = None,
    endpoint: str | None = None,
    web: WebSources = NOWHERE,
) -> Store:
    """Open a source as `Layout.source` writes it.

    `credentials` is a JSON file of a service account or of an authorized user, or a boto file;
    without it, Google Storage is read anonymously. `endpoint` is another address of Google
    Storage's API. `web` are the web servers that may be asked. Raises Refused.
    """
    if source.startswith("gs://"):
        from crosprov.devserver.bucket import Bucket

        return Bucket(source, credentials, endpoint)
    if source.startswith(("https://", "http://")):
        from crosprov.devserver.website import Website

        return Website(source, web)
    return Folder(source)


def replaced(source: str, name: str) -> Refused:
    """Word that a file changed between its description and its bytes."""
    return Refused(
        409, f"{source}/{name} was replaced or removed while it was staged; stage it again"
    )


def fate(error: BaseException) -> str:
    """Word what became of a connection; libraries nest the reason in long texts."""
    text = str(error)
    if "Failed to resolve" in text or "NameResolution" in text:
        return "the name of the server is not known here"
    if "Connection refused" in text or "No route" in text or "unreachable" in text:
        return "the server cannot be reached"
    return "the connection broke"


class Folder:
    """A local folder."""

    def __init__(self, source: str) -> None:
        self.source = source

    def list(self) -> tuple[Entry, ...]:
        """List the regular files of the folder."""
        try:
            names = sorted(os.listdir(self.source))
        except OSError as error:
            raise Refused(404, f"{self.source} cannot be listed: {error.strerror}") from None
        found = (self.find(name) for name in names)
        return tuple(entry for entry in found if entry is not None)

    def find(self, name: str) -> Entry | None:
        """Describe a regular file; links are followed to no other place.

        Raises Refused(404) where the folder itself is missing: nothing is on its way there.
        """
        try:
            status = os.lstat(os.path.join(self.source, name))
        except FileNotFoundError:
            if not os.path.isdir(self.source):
                raise Refused(404, f"{self.source} cannot be listed: it is no folder") from None
            return None
        except OSError as error:
            raise Refused(404, f"{self.source}/{name} cannot be read: {error.strerror}") from None
        return _described(name, status) if stat.S_ISREG(status.st_mode) else None

    def read(self, entry: Entry, write: Write, offset: int = 0) -> None:
        """Copy the file from an offset on."""
        try:
            number = os.open(os.path.join(self.source, entry.name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            raise replaced(self.source, entry.name) from None
        with os.fdopen(number, "rb", buffering=0) as file:
            file.seek(offset)
            while True:
                if _described(entry.name, os.fstat(number)) != entry:
                    raise replaced(self.source, entry.name)
                piece = self._piece(file.read, entry)
                if not piece:
                    return
                write(piece)

    def remove(self, entry: Entry) -> None:
        """Remove a file that was staged, unless it changed since."""
        if self.find(entry.name) == entry:
            os.unlink(os.path.join(self.source, entry.name))

    def remove_if_empty(self) -> None:
        """Remove the folder, unless something is left in it."""
        with suppress(OSError):
            os.rmdir(self.source)

    def _piece(self, read: Callable[[int], bytes], entry: Entry) -> bytes:
        try:
            return read(PIECE)
        except OSError as error:
            raise Refused(
                500, f"{self.source}/{entry.name} cannot be read: {error.strerror}"
            ) from None


def _described(name: str, status: os.stat_result) -> Entry:
    generation = f"{status.st_ino}-{status.st_mtime_ns}"
    return Entry(name, status.st_size, generation=generation)

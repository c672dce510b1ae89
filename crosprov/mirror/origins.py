"""Where the content of a file can be had: the mirror, a folder at hand, upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import requests

from crosprov.mirror.measuring import blocks_of
from crosprov.mirror.model import Fault, Uri
from crosprov.mirror.readback import TIMEOUT, anonymous_session, is_page, read_body
from crosprov.mirror.stores import Store
from crosprov.mirror.uris import address


class Absent(Exception):
    """Say in a few words why a place does not have a file, or does not give it."""


class Origin(Protocol):
    """Give a file's content; raises Absent, before or in the middle of it."""

    def read(self, name: str, uris: Sequence[Uri]) -> tuple[str, Iterator[bytes]]:
        """Give the words for where exactly the file was found, and its blocks."""
        ...


class OnMirror:
    """Read what a mirror's store holds; `place` is how the store is called."""

    def __init__(self, store: Store, place: str) -> None:
        self._store = store
        self._place = place.rstrip("/")

    def read(self, name: str, uris: Sequence[Uri]) -> tuple[str, Iterator[bytes]]:
        """Read a file of the store."""
        if self._store.find(name) is None:
            raise Absent(f"{self._place} does not have it")
        return f"{self._place}/{name}", self._store.read(name)


class AtAddress:
    """Read what a mirror offers over HTTP, as Portage does."""

    def __init__(self, base: str) -> None:
        self._base = base

    def read(self, name: str, uris: Sequence[Uri]) -> tuple[str, Iterator[bytes]]:
        """Ask for a file below the address."""
        url = address(self._base, name)
        return url, download(url, name)


class InFolder:
    """Read what lies in a folder, such as Portage's DISTDIR."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Fault("there is no such folder", where=str(folder))
        self._folder = folder

    def read(self, name: str, uris: Sequence[Uri]) -> tuple[str, Iterator[bytes]]:
        """Read a file of the folder."""
        path = self._folder / name
        if not path.is_file():
            raise Absent(f"{self._folder} does not have it")
        return str(path), blocks_of(path)


class Upstream:
    """Ask where the ebuilds say that a file comes from, in that order.

    `open_place` opens a `gs://` place; without it such URIs are passed over.
    """

    def __init__(self, open_place: Callable[[str], Store] | None = None) -> None:
        self._open = open_place

    def read(self, name: str, uris: Sequence[Uri]) -> tuple[str, Iterator[bytes]]:
        """Give the first URI that answers; content that breaks off later is the caller's."""
        reasons: list[str] = []
        for uri in uris:
            try:
                if uri.by_hand:
                    raise Absent(f"{uri.text or name} is fetched by people only (RESTRICT=fetch)")
                return uri.text, self._blocks(uri.text, name)
            except Absent as absent:
                reasons.append(str(absent))
        raise Absent("; ".join(reasons) or "no ebuild says where it comes from")

    def _blocks(self, uri: str, name: str) -> Iterator[bytes]:
        if uri.startswith("gs://") and self._open is not None:
            place, _, last = uri.rpartition("/")
            store = self._open(place)
            if store.find(last) is None:
                raise Absent(f"{uri} is not there")
            return store.read(last)
        if uri.startswith(("http://", "https://")):
            return download(uri, name)
        raise Absent(f"{uri} is nothing that can be asked for here")


def download(url: str, name: str) -> Iterator[bytes]:
    """Ask for a file over HTTP; raises Absent for whatever is not the whole file.

    Nothing is known of the content yet, so a page that a server sends in a file's place has
    to be told by its looks: HTML under a name that does not end so.
    """
    session = anonymous_session()
    try:
        answer = session.get(url, stream=True, timeout=TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        session.close()
        raise Absent(f"{url} did not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        answer.close()
        session.close()
        raise Absent(f"{url} answered with status {answer.status_code}")
    return _body(session, answer, url, name)


def _body(
    session: requests.Session, answer: requests.Response, url: str, name: str
) -> Iterator[bytes]:
    first = True
    with session, answer:
        try:
            for block in read_body(answer):
                if first and is_page(block) and not _may_be_page(name):
                    raise Absent(f"{url} gave a web page instead of the file")
                first = False
                yield block
        except requests.RequestException as error:
            raise Absent(f"{url} broke off ({type(error).__name__})") from None
    if first:
        raise Absent(f"{url} gave an empty file")


def _may_be_page(name: str) -> bool:
    return name.lower().endswith((".html", ".htm", ".xhtml", ".xml", ".svg"))

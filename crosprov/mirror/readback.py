"""A published file read as its users read it, over HTTP and without any credentials."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

import requests
import urllib3

from crosprov.mirror.hashing import digests_of
from crosprov.mirror.hosts import Reader
from crosprov.mirror.model import Archive

TIMEOUT = (20.0, 60.0)  # seconds: to connect, and of silence
WAITS = (0.5, 2.0)  # seconds before an address that did not answer is asked again
_BLOCK = 1 << 20
_SERVICE = "https://storage.googleapis.com"
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

Outcome = Literal["same", "other", "page", "refused", "absent", "silent"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Say what a user without credentials gets at an address, as a word and as a sentence."""

    outcome: Outcome
    sentence: str


class Anonymous(requests.auth.AuthBase):
    """Add nothing to a request; with it, requests does not look into ~/.netrc either."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give the request back as it is."""
        return request


def anonymous_session() -> requests.Session:
    """Make a session that has no credentials and takes contents as they are stored."""
    session = requests.Session()
    session.auth = Anonymous()
    session.headers["Accept-Encoding"] = "identity"
    return session


def read_body(answer: requests.Response) -> Iterator[bytes]:
    """Yield a body as it was sent, undecoded; raises requests' exceptions when it breaks off."""
    try:
        yield from answer.raw.stream(_BLOCK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(type(error).__name__) from None


def read_anonymously(url: str, archive: Archive, waits: Sequence[float] = WAITS) -> Reading:
    """Read a file at an address as a stranger, and compare it with what was published.

    An address that does not answer, or answers that it is busy, is asked again after each of
    the `waits`, in seconds. Never raises.
    """
    return _patiently(anonymous_session(), url, archive, waits)


def read_as(reader: Reader, url: str, archive: Archive, waits: Sequence[float] = WAITS) -> Reading:
    """Read a file with somebody's password, as `read_anonymously` does without any."""
    session = anonymous_session()
    name, password = reader
    session.auth = requests.auth.HTTPBasicAuth(name.encode(), password.encode())
    return _patiently(session, url, archive, waits)


def _patiently(
    session: requests.Session, url: str, archive: Archive, waits: Sequence[float]
) -> Reading:
    with session:
        for wait in (*waits, None):
            reading, passing = _read(session, url, archive)
            if not passing or wait is None:
                break
            time.sleep(wait)
    return reading


def _read(session: requests.Session, url: str, archive: Archive) -> tuple[Reading, bool]:
    """Read once, and tell whether another try may give another answer."""
    try:
        with session.get(url, stream=True, timeout=TIMEOUT) as answer:
            status = answer.status_code
            if status != 200:
                return _refusal(url, status), status in _PASSING
            return _compared(url, answer, archive), False
    except requests.RequestException as error:
        sentence = f"{url} does not answer ({type(error).__name__})"
        return Reading("silent", sentence), True


def _refusal(url: str, status: int) -> Reading:
    sentence = f"{url} answers with status {status}"
    if status in (401, 403):
        return Reading("refused", sentence)
    return Reading("absent" if status in (404, 410) else "silent", sentence)


def _compared(url: str, answer: requests.Response, archive: Archive) -> Reading:
    beginning = b""

    def watched() -> Iterator[bytes]:
        nonlocal beginning
        length = 0
        for block in read_body(answer):
            beginning = beginning or block[:512]
            length += len(block)
            yield block
            if length > archive.size:
                break

    found = digests_of(watched(), archive.hashes, archive.size)
    difference = found.difference(archive)
    if difference is None:
        return Reading("same", f"{url} gives the file")
    if is_page(beginning):
        return Reading("page", f"{url} gives a web page instead of the file")
    return Reading("other", f"{url} gives another content: {difference}")


def is_open(url: str) -> bool:
    """Tell whether an address gives strangers what is there, by the first byte of it."""
    try:
        with anonymous_session() as session:
            headers = {"Range": "bytes=0-0", "Cache-Control": "no-cache"}
            with session.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
                beginning = next(read_body(answer), b"")
                return answer.status_code in (200, 206, 416) and not is_page(beginning)
    except requests.RequestException:
        return False


def everybody_reads(bucket: str, endpoint: str | None) -> bool:
    """Ask Google Storage whether its rules let everybody read a bucket, whatever ACLs say.

    The question is put without credentials; no answer counts as no.
    """
    base = (endpoint or _SERVICE).rstrip("/")
    url = f"{base}/storage/v1/b/{quote(bucket, safe='')}/iam/testPermissions"
    asked = {"permissions": "storage.objects.get"}
    try:
        with anonymous_session() as session:
            answer = session.get(url, params=asked, timeout=TIMEOUT)
            held = answer.json().get("permissions", []) if answer.status_code == 200 else []
    except (requests.RequestException, ValueError, AttributeError):
        return False
    return "storage.objects.get" in held


def is_page(beginning: bytes) -> bool:
    """Tell a web page by its first bytes."""
    return beginning[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))

"""Files over HTTP for the controller: asked as the environment's proxies want it, worded, bounded.

Only the standard library is used, for crosprov itself needs no other client.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_SILENCE = 30.0  # seconds without a byte
_AGENT = {"User-Agent": "crosprov", "Accept-Encoding": "identity"}


class Failed(Exception):
    """Say why a file did not come; with `passing`, another try may bring it."""

    def __init__(self, sentence: str, *, passing: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.passing = passing


@dataclass(slots=True)
class Answer:
    """An answer whose body is read piece by piece."""

    status: int
    headers: Message
    address: str
    _body: Any

    def read(self, most: int) -> bytes:
        """Give the next piece, at most so many bytes, b"" at the end; raises Failed."""
        try:
            return bytes(self._body.read1(most))
        except (OSError, http.client.HTTPException) as error:
            raise _worded(error) from None

    @property
    def missing(self) -> int:
        """Count the bytes that the server announced and did not send."""
        return int(self._body.length or 0)

    @property
    def is_page(self) -> bool:
        """Tell whether it is a web page, as those that ask for a login are."""
        return self.headers.get("Content-Type", "").lower().startswith("text/html")


@contextmanager
def asked(
    url: str, headers: Mapping[str, str] | None = None, silence: float = _SILENCE
) -> Iterator[Answer]:
    """Ask for a file and follow redirections; whatever goes wrong with that is a Failed.

    Statuses below 400 and 416 are answers, all others are Failed. `silence` is in seconds.
    """
    with _opened(url, {**_AGENT, **(headers or {})}, silence) as answer:
        yield Answer(answer.status, answer.headers, answer.url or url, answer)


def _opened(url: str, headers: Mapping[str, str], silence: float) -> Any:
    try:
        return _opener().open(Request(url, headers=dict(headers)), timeout=silence)
    except HTTPError as error:
        if error.code == 416:
            return error
        with error:
            raise _refusal(error) from None
    except URLError as error:
        raise _worded(error.reason) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _worded(error) from None


def fetch(url: str, most: int, within: float, silence: float = _SILENCE) -> bytes:
    """Get a small file of at most `most` bytes within so many seconds; raises Failed."""
    until = time.monotonic() + within
    content = bytearray()
    with asked(url, silence=min(silence, within)) as answer:
        if answer.is_page:
            raise Failed(_page(url, answer.address))
        while piece := answer.read(65536):
            content += piece
            if len(content) > most:
                raise Failed(f"it has more than {most} bytes")
            if time.monotonic() > until:
                raise Failed(f"it did not come within {within:.0f} s", passing=True)
        if answer.missing:
            raise Failed(f"it was cut short: {answer.missing} bytes are missing", passing=True)
    return bytes(content)


def shown(url: str) -> str:
    """Give an address without an account and password that may stand in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _page(url: str, address: str) -> str:
    host, asked_host = urlsplit(address).hostname, urlsplit(url).hostname
    if host != asked_host:
        return f"it leads to a web page of {host}, as places do that want a login"
    return "it is a web page, and no file"


class _Redirects(HTTPRedirectHandler):
    """Follow redirections, but not from https to where anybody may answer."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise Failed("it leads to an address that is neither of http nor of https")
        if req.type == "https" and urlsplit(newurl).scheme == "http":
            raise Failed(f"it leads away from https, to {urlsplit(newurl).hostname}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> Any:
    """Make an opener; HTTP_PROXY, HTTPS_PROXY and NO_PROXY count as they do everywhere."""
    return build_opener(_Redirects)


def _refusal(error: HTTPError) -> Failed:
    passing = error.code in (408, 425, 429) or error.code >= 500
    if error.code in (404, 410):
        return Failed(f"there is no such file (status {error.code})")
    if error.code in (401, 403):
        return Failed(f"the server does not give it to everybody (status {error.code})")
    if error.code < 400:
        return Failed("the server sends in circles")
    return Failed(f"the server answers with status {error.code}", passing=passing)


def _worded(error: object) -> Failed:
    match error:
        case ssl.SSLCertVerificationError():
            return Failed(f"the server's certificate is not trusted ({error.verify_message})")
        case TimeoutError():
            return Failed("the server was silent for too long", passing=True)
        case socket.gaierror():
            return Failed("the server's name is not known here", passing=True)
        case ConnectionRefusedError():
            return Failed("the server takes no connection", passing=True)
        case http.client.IncompleteRead() | ConnectionError() | http.client.RemoteDisconnected():
            return Failed("the connection broke off", passing=True)
        case http.client.InvalidURL() | ValueError():
            return Failed("the address cannot be asked")
        case OSError():
            return Failed(f"the connection failed: {error.strerror or error}", passing=True)
    return Failed(f"the server's answer is none of HTTP ({type(error).__name__})", passing=True)

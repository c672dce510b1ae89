"""A folder of a web server. It lists nothing: files are found by their exact names."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urljoin, urlsplit

import requests
import urllib3

from crosprov.devserver.failures import Refused
from crosprov.devserver.stores import (
    CONNECT_WITHIN,
    PIECE,
    READ_WITHIN,
    Entry,
    Interrupted,
    Write,
    fate,
    replaced,
)
from crosprov.devserver.websources import WebSources, without_query

REDIRECTS = 5
PLAIN = {"Accept-Encoding": "identity"}  # the bytes that the digests are of
MD5_IN_HEX = re.compile(r'"([0-9a-f]{32})"')


class Website:
    """A folder at an address of http or https; only what `web` allows is asked, at each step."""

    def __init__(self, source: str, web: WebSources) -> None:
        web.check(source)
        self.source = source
        self._web = web
        self._threads = threading.local()

    def list(self) -> tuple[Entry, ...]:
        """Refuse: nothing lists the files of a web server."""
        raise Refused(
            400,
            f"{self.source} is a web server, which lists no files: name them with files=, or "
            "artifacts that have one exact name",
        )

    def find(self, name: str) -> Entry | None:
        """Ask for the headers of a file."""
        for method in ("HEAD", "GET"):
            with self._answer(method, name, {}) as answer:
                if answer.status_code in (404, 410):
                    return None
                if method == "HEAD" and answer.status_code in (405, 501):
                    continue  # a server that knows no HEAD; a GET is left at its headers
                self._check(answer, name)
                return described(name, answer.headers)
        return None

    def read(self, entry: Entry, write: Write, offset: int = 0) -> None:
        """Download from an offset on; the server must still have what it described."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self._answer("GET", entry.name, headers) as answer:
            if answer.status_code in (404, 410, 412):
                raise replaced(self.source, entry.name)
            self._check(answer, entry.name)
            if generation_of(answer.headers) != entry.generation:
                raise replaced(self.source, entry.name)
            skipped = self._first_byte(answer, entry, offset)
            for piece in answer.raw.stream(PIECE, decode_content=False):
                rest = piece[skipped:]
                skipped -= len(piece) - len(rest)
                if rest:
                    write(rest)

    def _first_byte(self, answer: requests.Response, entry: Entry, offset: int) -> int:
        """Count the bytes to skip: those a server sends again that knows no ranges."""
        if answer.status_code != 206:
            return offset
        found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if not offset or not found or int(found[1]) != offset:
            raise Refused(
                502, f"{self.source}/{entry.name}: the server answers with another range than asked"
            )
        return 0

    @contextmanager
    def _answer(
        self, method: str, name: str, headers: Mapping[str, str]
    ) -> Iterator[requests.Response]:
        """Send a request and follow redirections; whatever breaks is worded."""
        what = f"{self.source}/{name}"
        try:
            with self._send(method, f"{self.source}/{quote(name)}", headers) as answer:
                yield answer
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise Interrupted(
                504, f"could not download {what}: the server was silent for too long"
            ) from None
        except requests.exceptions.SSLError:
            raise Refused(
                502, f"could not download {what}: the server's certificate is not trusted"
            ) from None
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
        ) as error:
            raise Interrupted(502, f"could not download {what}: {fate(error)}") from None

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        for _ in range(REDIRECTS + 1):
            answer = self._session().request(
                method,
                url,
                headers={**PLAIN, **headers},
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_WITHIN, READ_WITHIN),
            )
            if not answer.is_redirect:
                return answer
            answer.close()
            target = urljoin(url, answer.headers["location"])
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                what = without_query(url)
                raise Refused(502, f"{what} leads away from https, which is not followed")
            self._web.check(target, after=url)
            url = target
        raise Refused(
            502, f"{without_query(url)} leads from one address to the next without an end"
        )

    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        session: requests.Session = self._threads.session
        return session

    def _check(self, answer: requests.Response, name: str) -> None:
        status, what = answer.status_code, f"{self.source}/{name}"
        if status in (200, 206):
            return
        sentence = f"could not download {what}: the server answers {status}"
        if status in (401, 403):
            raise Refused(502, f"{sentence}; it may not be read without credentials")
        if status in (408, 429) or status >= 500:
            raise Interrupted(502, sentence)
        raise Refused(502, sentence)


def described(name: str, headers: Mapping[str, str]) -> Entry:
    """Read the description of a file from the headers of an answer (names in any case)."""
    digests = _digests(headers)
    length = headers.get("Content-Length", "")
    return Entry(
        name=name,
        size=int(length) if re.fullmatch("[0-9]{1,18}", length) else None,
        crc32c=digests.get("crc32c"),
        md5=digests.get("md5"),
        generation=generation_of(headers),
        is_gzipped=headers.get("Content-Encoding") == "gzip",
    )


def generation_of(headers: Mapping[str, str]) -> str | None:
    """Name the content that an answer describes, as well as the server can."""
    for name in ("x-goog-generation", "ETag", "Last-Modified"):
        if value := headers.get(name):
            return value.removeprefix("W/")
    return None


def _digests(headers: Mapping[str, str]) -> dict[str, str]:
    """Collect digests: of Google Storage, of RFC 1864, and of ETags that are MD5s.

    An ETag of 32 hexadecimal digits is the file's MD5 at Google Storage, and in S3 unless the
    object is encrypted with a key of KMS; other servers may mean anything by it.
    """
    found = {}
    for part in headers.get("x-goog-hash", "").split(","):
        kind, _, value = part.strip().partition("=")
        if kind in ("crc32c", "md5") and value:
            found[kind] = value
    if "Content-MD5" in headers:
        found.setdefault("md5", headers["Content-MD5"].strip())
    etag = MD5_IN_HEX.fullmatch(headers.get("ETag", ""))
    is_s3 = "x-amz-request-id" in headers and "kms" not in headers.get(
        "x-amz-server-side-encryption", ""
    )
    if etag and (is_s3 or "x-goog-generation" in headers):
        found.setdefault("md5", base64.b64encode(bytes.fromhex(etag[1])).decode())
    return found

"""Files over HTTP: a request, what its answer may be, and its bytes into a part.

Whatever servers get wrong ends in a Broken with a sentence; nothing here decides whether to
try again.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urljoin, urlsplit

from crosprov.mirror.blocks import BLOCK
from crosprov.mirror.connections import Answer
from crosprov.mirror.part import Broken, Part, Reason
from crosprov.mirror.routes import Routes, Unaskable, Waits

REDIRECTS = 5
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
_MOVED = (301, 302, 303, 307, 308)
_PLAIN = {"Accept-Encoding": "identity", "User-Agent": "crosprov-mirror"}
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things are waited for, in seconds; `slowest` is in bytes per second.

    An answer that brings less than `slowest` over a `window` is given up. `pauses` stand
    between the tries at one upstream; there is one try more than pauses.
    """

    connect: float = 10.0
    silence: float = 30.0
    slowest: int = 1024
    window: float = 30.0
    pauses: tuple[float, ...] = (1.0, 5.0)


class Web:
    """Ask web servers; safe for threads."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._routes = Routes(Waits(connect=patience.connect, silence=patience.silence))

    def close(self) -> None:
        """Close all connections."""
        self._routes.close()

    def get(self, url: str, most: int) -> bytes | None:
        """Get a small file; None when there is none, or when it is larger. Raises Broken."""
        with self._answer(url, {}, follow_down=False) as answer:
            if answer.status in (404, 410):
                return None
            _check(answer)
            if answer.status != 200:
                raise Broken(Reason.REFUSED, f"it answers {answer.status}")
            content, begun, room = b"", time.monotonic(), memoryview(bytearray(most + 1))
            while count := answer.receive(room[: most + 1 - len(content)]):
                content += room[:count]
                if len(content) > most:
                    return None
                if time.monotonic() - begun > 2 * self.patience.window:
                    raise _unreachable("it is too slow")
            if answer.length:
                raise _unreachable("the connection broke")
            return content

    def fetch(self, url: str, part: Part) -> None:
        """Append a file's bytes to a part, from where it ends; raises Broken and Fault."""
        headers = self._resumption(url, part)
        with self._answer(url, headers, follow_down=part.is_provable) as answer:
            if answer.status == 416:
                part.restart()
                raise Broken(Reason.CORRUPT, "it has no bytes from there on", passing=True)
            _check(answer)
            _place(answer, part)
            tag = answer.headers.get("ETag", "")
            part.tag = (url, tag) if tag.startswith('"') else None
            try:
                self._read(answer, part)
            except Broken as broken:
                raise _explained(broken, answer) from None
            if not part.is_whole:
                raise _explained(_short(part), answer)

    def _resumption(self, url: str, part: Part) -> Mapping[str, str]:
        """Ask for the rest where the whole will prove itself, or the server can vouch for it."""
        tag = part.tag[1] if part.tag and part.tag[0] == url else None
        if part.done and tag is None and not part.is_provable:
            part.restart()
        if not part.done:
            return {}
        headers = {"Range": f"bytes={part.done}-"}
        return headers if tag is None else {**headers, "If-Range": tag}

    def _read(self, answer: Answer, part: Part) -> None:
        """Read the body; it may be slow, but not slower than what patience allows."""
        most = part.bandwidth.piece(BLOCK)
        waited, came = 0.0, 0
        while True:
            begun = time.monotonic()
            count = answer.receive(part.room()[:most])
            waited += time.monotonic() - begun
            if not count:
                return
            part.took(count)
            part.bandwidth.take(count)
            came += count
            if waited >= self.patience.window:
                if came < self.patience.slowest * waited:
                    speed = f"{came / waited:.0f} bytes per second"
                    raise Broken(Reason.UNREACHABLE, f"it is too slow ({speed})", passing=True)
                waited, came = 0.0, 0

    @contextmanager
    def _answer(
        self, url: str, headers: Mapping[str, str], *, follow_down: bool
    ) -> Iterator[Answer]:
        """Send a request and follow redirections; whatever breaks is worded."""
        try:
            with self._asked(url, headers, follow_down) as answer:
                yield answer
        except TimeoutError:
            raise _unreachable("the server was silent for too long") from None
        except ssl.SSLCertVerificationError:
            raise Broken(Reason.REFUSED, "the server's certificate is not trusted") from None
        except Unaskable as error:
            raise Broken(Reason.REFUSED, str(error)) from None
        except (OSError, HTTPException) as error:
            raise _unreachable(_fate(error)) from None

    @contextmanager
    def _asked(self, url: str, headers: Mapping[str, str], follow_down: bool) -> Iterator[Answer]:
        for _ in range(REDIRECTS + 1):
            with self._routes.asked(url, {**_PLAIN, **headers}) as answer:
                where = _target(answer) if answer.status in _MOVED else None
                if not where:
                    yield answer
                    return
            url = _followed(url, where, follow_down)
        raise Broken(Reason.REFUSED, f"it leads on more than {REDIRECTS} times")


def _target(answer: Answer) -> str | None:
    """Read where an answer leads to; servers write names of other scripts as they are."""
    where = answer.headers.get("Location")
    return where.encode("latin-1", "replace").decode(errors="surrogateescape") if where else None


def _followed(url: str, where: str, follow_down: bool) -> str:
    """Give the address that a redirection leads to; raises Broken where it may not lead."""
    try:
        target = urljoin(url, where)
    except ValueError:
        raise Broken(Reason.REFUSED, "it leads to what is no address") from None
    schemes = urlsplit(url).scheme, urlsplit(target).scheme
    if schemes[1] not in ("http", "https"):
        raise Broken(Reason.REFUSED, f"it leads to an address of {schemes[1]!r}")
    if schemes == ("https", "http") and not follow_down:
        raise Broken(Reason.REFUSED, "it leads away from https, with no strong hash")
    return target


def shown(url: str) -> str:
    """Write an address without a password."""
    return re.sub(r"(?<=//)[^/?#]*@", "…@", url)


def server_of(url: str) -> str:
    """Name the server of an address, by which requests are counted."""
    return url.partition("//")[2].partition("/")[0].rpartition("@")[2].lower()


def _check(answer: Answer) -> None:
    status = answer.status
    if status in (200, 206):
        return
    if status in (404, 410):
        raise Broken(Reason.LACKS, f"it answers {status}")
    if status in (401, 403, 407, 451):
        raise Broken(Reason.REFUSED, f"it answers {status}: it may not be read from here")
    if status in (408, 425, 429) or status >= 500:
        pause = answer.headers.get("Retry-After", "")
        seconds = min(float(pause), 60.0) if _LENGTH.fullmatch(pause) else 0.0
        raise Broken(Reason.UNREACHABLE, f"it answers {status}", passing=True, pause=seconds)
    raise Broken(Reason.REFUSED, f"it answers {status}")


def _place(answer: Answer, part: Part) -> None:
    """Make sure that the body belongs where the part ends; raises Broken."""
    size = part.archive.size
    if answer.status == 206:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        right = found and int(found[1]) == part.done and found[3] in (str(size), "*")
        if not right or not part.done:
            part.restart()
            told = answer.headers.get("Content-Range") or "none"
            raise Broken(
                Reason.CORRUPT, f"it sends another range than was asked for ({told})", passing=True
            )
        part.resumed = True
        return
    length = answer.headers.get("Content-Length", "")
    if _LENGTH.fullmatch(length) and int(length) != size:
        broken = Broken(Reason.CORRUPT, f"it has {int(length)} bytes instead of {size}")
        raise _explained(broken, answer)
    part.restart()  # a server that knows no ranges sends all of it


def _explained(broken: Broken, answer: Answer) -> Broken:
    """Say of a wrong content that it is a web page, which is what often comes instead."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if broken.reason is Reason.CORRUPT and kind in ("text/html", "application/xhtml+xml"):
        sentence = f"a web page comes instead of the file: {broken.sentence}"
        return Broken(broken.reason, sentence, passing=broken.passing)
    return broken


def _short(part: Part) -> Broken:
    sentence = f"it ends after {part.done} of {part.archive.size} bytes"
    return Broken(Reason.CORRUPT, sentence, passing=True)


def _unreachable(sentence: str) -> Broken:
    return Broken(Reason.UNREACHABLE, sentence, passing=True)


def _fate(error: OSError | HTTPException) -> str:
    """Word what became of a connection."""
    if isinstance(error, socket.gaierror):
        return "the name of the server is not known here"
    if isinstance(error, ConnectionRefusedError) or getattr(error, "errno", None) in _NO_WAY:
        return "the server cannot be reached"
    if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):
        return f"the proxy does not let it through ({str(error).partition(': ')[2]})"
    return "the connection broke"

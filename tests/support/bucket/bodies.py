"""Bodies of requests: plain, chunked and multipart/related ones, read as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from io import BufferedIOBase

from .failures import ApiError

_BLOCK = 256 * 1024
_LONGEST_LINE = 64 * 1024
_LONGEST_PART = 8 * 1024 * 1024


class ClientGone(ConnectionError):
    """Say that a request ended before its body was complete."""


class Body:
    """Read a request's body once, from a connection.

    `taken` is called with the length of each block; it counts, and ends connections for tests.
    """

    def __init__(
        self, connection: BufferedIOBase, headers: Message, taken: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._taken = taken
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        try:
            self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        except ValueError:
            raise ApiError(400, "Content-Length is no number.") from None
        self._over = not self._chunked and self._left == 0

    def read(self) -> bytes:
        """Return the next block, b"" after the last; raise ClientGone when it is cut off."""
        if self._over:
            return b""
        if self._chunked and self._left == 0:
            self._left = self._chunk_size()
            if self._left == 0:
                self._over = True
                return b""
        data = self._connection.read1(min(_BLOCK, self._left))
        if not data:
            raise ClientGone("The body ended early.")
        self._left -= len(data)
        if self._left == 0:
            if self._chunked:
                self._connection.readline(_LONGEST_LINE)
            else:
                self._over = True
        self._taken(len(data))
        return bytes(data)

    def _chunk_size(self) -> int:
        line = self._connection.readline(_LONGEST_LINE)
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise ClientGone("A chunk has no size.") from None
        if size == 0:
            while self._connection.readline(_LONGEST_LINE).strip():
                pass
        return size

    def blocks(self) -> Iterator[bytes]:
        """Yield what is left, block by block."""
        while block := self.read():
            yield block

    def whole(self, limit: int) -> bytes:
        """Return what is left; raise ApiError 400 when it is longer than `limit` bytes."""
        data = bytearray()
        for block in self.blocks():
            data += block
            if len(data) > limit:
                raise ApiError(400, f"The body is longer than {limit} bytes.")
        return bytes(data)

    def drain(self) -> None:
        """Read what nobody wanted, so that the next request begins where it should."""
        for _ in self.blocks():
            pass


def related(body: Body, content_type: str) -> tuple[bytes, str, Iterator[bytes]]:
    """Return the two parts of a multipart/related body: JSON, and the media with its type.

    The media is an iterator, so that any size passes through. Raises ApiError 400 for a body
    of another form.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if not boundary:
        raise ApiError(400, "The multipart body has no boundary.")
    delimiter = b"\r\n--" + boundary.encode()
    source = body.blocks()
    held = b"\r\n"  # the first delimiter stands at the very beginning
    _, held = _until(source, held, delimiter)
    document, held = _until(source, held, delimiter)
    head, held = _until(source, held, b"\r\n\r\n")
    headers = BytesHeaderParser().parsebytes(head.lstrip())
    _, _, text = document.partition(b"\r\n\r\n")
    return text, headers.get("Content-Type", ""), _media(source, held, delimiter + b"--")


def _until(source: Iterator[bytes], held: bytes, mark: bytes) -> tuple[bytes, bytes]:
    """Return what stands before a mark, and what was read after it."""
    while mark not in held:
        block = next(source, b"")
        if not block or len(held) > _LONGEST_PART:
            raise ApiError(400, "The multipart body is malformed.")
        held += block
    before, _, after = held.partition(mark)
    return before, after


def _media(source: Iterator[bytes], held: bytes, end: bytes) -> Iterator[bytes]:
    """Yield the media; what may be the end of the body is held back until more is there."""
    tail = len(end) + len(b"\r\n")
    for block in source:
        held += block
        if len(held) > tail:
            yield held[:-tail]
            held = held[-tail:]
    media, mark, rest = held.partition(end)
    if not mark or rest.strip():
        raise ApiError(400, "The multipart body is not ended by its boundary.")
    if media:
        yield media

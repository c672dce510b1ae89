"""Connections to a web server, kept open between requests, and answers read without copying."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

_LEFT = 8192  # bytes of an unread body that are worth less than a new connection


class Answer(HTTPResponse):
    """An answer whose body can be received where it is wanted, one receipt at a time."""

    def receive(self, room: memoryview) -> int:
        """Receive once, at most what fits, and give the number of bytes; 0 at the end.

        `readinto` waits until all of the room is full, however long that takes.
        Raises OSError and HTTPException.
        """
        if self.chunked:
            return self._receive_chunk(room)
        if self.isclosed() or self.length == 0:
            return 0
        count = self.fp.readinto1(room if self.length is None else room[: self.length])
        if self.length is not None:
            self.length -= count
        return count

    def _receive_chunk(self, room: memoryview) -> int:
        try:
            piece = self.read1(len(room))
        except (ValueError, OverflowError):
            raise HTTPException("a chunk has no size") from None
        if len(piece) > len(room):
            raise HTTPException("a chunk has a negative size")
        room[: len(piece)] = piece
        return len(piece)

    def end(self) -> bool:
        """Read a short rest of the body, and tell whether nothing of it is left to come."""
        if not self.isclosed() and not self.chunked and self.length is not None:
            if 0 < self.length <= _LEFT:
                self.read1(self.length)
            if self.length == 0:
                self.read()  # closes the answer, which lets its connection go
        return self.isclosed()


class PlainConnection(HTTPConnection):
    """A connection that gives such answers."""

    response_class = Answer


class SecureConnection(HTTPSConnection):
    """A connection over TLS that gives such answers."""

    response_class = Answer


class Connections:
    """Ask one server; safe for threads, each of which has a connection of its own meanwhile."""

    def __init__(self, connected: Callable[[], HTTPConnection]) -> None:
        """Begin with none; `connected` opens one."""
        self._connected = connected
        self._idle: deque[HTTPConnection] = deque()

    @contextmanager
    def asked(self, target: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Send a GET and lend its answer; raises OSError and HTTPException."""
        connection, answer = self._ask(target, headers)
        is_kept = False
        try:
            yield answer
            with suppress(OSError, HTTPException):
                is_kept = answer.end() and connection.sock is not None
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                answer.close()
                connection.close()

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, target: str, headers: Mapping[str, str]) -> tuple[HTTPConnection, Answer]:
        """Ask; a server may have closed what was kept, which is no failure of its own."""
        while True:
            connection, is_new = self._take()
            try:
                connection.request("GET", target, headers=dict(headers))
                answer = connection.getresponse()
            except BaseException as error:
                connection.close()
                if isinstance(error, ConnectionError) and not is_new:
                    continue
                if isinstance(error, ValueError):
                    raise HTTPException("the answer cannot be read") from None
                raise
            assert isinstance(answer, Answer)  # as the connection's class says
            return connection, answer

    def _take(self) -> tuple[HTTPConnection, bool]:
        """Take a connection that is kept, unless its server said more than it was asked."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if _is_quiet(connection):
                    return connection, False
                connection.close()
        return self._connected(), True


def _is_quiet(connection: HTTPConnection) -> bool:
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return not waiting.poll(0)

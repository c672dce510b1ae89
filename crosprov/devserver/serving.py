"""HTTP connections: uvicorn, with files that go from the disk to the socket by sendfile.

Python that copies a payload in pieces reaches a fraction of what the kernel can do. The protocol
here offers the application the extension `http.response.zerocopysend` of ASGI. A few threads send;
a client that does not keep up holds none of them: its connection waits in the event loop.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

EXTENSION = "http.response.zerocopysend"
PATIENCE = 60.0  # seconds that a client may be silent when it is its turn
SENDERS = 4  # threads; more of them were slower, and the event loop holds those who wait
TURN = 64 * 1024 * 1024  # bytes that one connection sends before it is another's turn
FAREWELL = 2.0  # seconds to read a refusal in
BREATH = 25  # milliseconds that a thread waits for a client; a busy machine needs some

_senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")


class Protocol(H11Protocol):
    """Speak HTTP/1.1 on one connection, as uvicorn does, with sendfile and a limit for requests."""

    _deadline: asyncio.TimerHandle | None = None
    _ended = False  # the client has closed its side
    _refused = False  # what still comes is not HTTP, and not read

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._application = self.app
        self.app = self._run

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        # What is buffered has to be gone before the kernel sends a file behind it.
        transport.set_write_buffer_limits(0)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request; the whole head has to come within the limit."""
        if self._refused:
            return
        super().data_received(data)
        if self._busy:
            self._cancel()
        elif self._deadline is None:
            self._await_request()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Note that no more comes; who has asked, and closed its side, is still answered."""
        self._ended = True
        return self._busy and not self.cycle.more_body

    def on_response_complete(self) -> None:
        """Go on with the next request, or end when there will be none."""
        super().on_response_complete()
        if self._ended and not self._busy:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel()
        super().connection_lost(exc)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(PATIENCE, self.transport.close)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP by a sentence, and end the connection."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.ProtocolError) else 400
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self._busy:
            head = {431: "the head of the request is too long", 501: "it is not understood"}
            body = f"the request is not HTTP/1.1: {head.get(status, error or msg)}\n".encode()
            headers = [
                ("content-type", "text/plain; charset=utf-8"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            reason = HTTPStatus(status).phrase.encode()
            response = h11.Response(status_code=status, headers=headers, reason=reason)
            self.transport.write((self.conn.send(response) or b"") + body)
            self.transport.write_eof()
            # Closing with bytes unread would reset the connection, and the sentence with it.
            self._refused = True
            self._cancel()
            self._deadline = self.loop.call_later(FAREWELL, self.transport.close)
        else:
            self.transport.close()

    # --- the extension ---------------------------------------------------------------------

    async def _run(self, scope: Message, receive: Receive, send: Send) -> None:
        """Run the application with one more kind of message."""
        scope["extensions"] = {EXTENSION: {}}
        _make_relative(scope)

        async def sending(message: Message) -> None:
            if message["type"] != EXTENSION:
                await send(message)
                return
            await self._send_file(message["file"], message["offset"], message["count"])
            await send({"type": "http.response.body", "more_body": message.get("more_body", False)})

        await self._application(scope, receive, sending)

    async def _send_file(self, number: int, start: int, count: int) -> None:
        """Send an open file. When it or the client ends: OSError, and the connection is cut."""
        await self.flow.drain()
        if self.cycle.disconnected or self.transport.is_closing():
            return
        # h11 counts what is sent without seeing it.
        self.conn.send_with_data_passthrough(h11.Data(data=cast(bytes, _Length(count))))
        # A name of our own: the transport may close its one while a thread sends.
        with closing(_Socket(self.transport.get_extra_info("socket").fileno())) as out:
            try:
                await _transfer(out, number, start, start + count)
            except BaseException:
                # What was announced cannot be sent, so nothing more can be said here.
                self.cycle.disconnected = True
                self.transport.abort()
                raise


def _make_relative(scope: Message) -> None:
    """Take scheme and host out of a request's target; proxies write them there."""
    raw: bytes = scope["raw_path"]
    if raw[:7].lower() == b"http://":
        scope["raw_path"] = b"/" + raw[7:].partition(b"/")[2]
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))


class _Length:
    """Stand for bytes that only the kernel sees."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


class _Socket:
    """Hold a second descriptor of a connection."""

    def __init__(self, number: int) -> None:
        self.number = os.dup(number)

    def close(self) -> None:
        os.close(self.number)


async def _transfer(out: _Socket, number: int, start: int, end: int) -> None:
    """Send from `start` up to `end`. Raises OSError when the file is shorter or the client left."""
    loop = asyncio.get_running_loop()
    while start < end:
        turn = loop.run_in_executor(_senders, _send, out.number, number, start, end)
        try:
            start, ready = await asyncio.shield(turn)
        except asyncio.CancelledError:
            # The descriptors must not be closed, and used anew, under the thread.
            await asyncio.wait([turn])
            raise
        if not ready and start < end:
            await _writable(loop, out.number)


def _send(out: int, number: int, start: int, end: int) -> tuple[int, bool]:
    """Send one turn; gives where it stopped, and False when the client does not keep up."""
    last = min(end, start + TURN)
    waiting = select.poll()
    waiting.register(out, select.POLLOUT)
    while start < last:
        try:
            sent = os.sendfile(out, number, start, last - start)
        except BlockingIOError:
            if not waiting.poll(BREATH):
                return start, False
            continue
        if not sent:
            raise OSError("the file became shorter")
        start += sent
    return start, True


async def _writable(loop: asyncio.AbstractEventLoop, number: int) -> None:
    """Wait until a client takes more. Raises TimeoutError when it does not for long."""
    ready = asyncio.Event()
    loop.add_writer(number, ready.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
    finally:
        loop.remove_writer(number)

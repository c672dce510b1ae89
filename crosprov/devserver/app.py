"""The application: which path is what, and how every answer and every failure looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.routing import Route

from crosprov.devserver import pages, rpc
from crosprov.devserver.conventions import (
    FORM,
    LONGEST_BODY,
    LONGEST_FORM,
    LONGEST_HEAD,
    LONGEST_PATH,
    LONGEST_QUERY,
    base_url,
    parameters_of,
    shown_in_log,
)
from crosprov.devserver.failures import Refused
from crosprov.devserver.static import NotWithin, OpenFile, open_file, part_of, send_part

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATIENCE = 60.0  # seconds for a body to arrive
WAITING = 400  # calls that may wait for something long at once, each in a thread of its own

log = logging.getLogger("crosprov.devserver")
access = logging.getLogger("crosprov.devserver.access")


def create_app(server: rpc.Server) -> Starlette:
    """Make the application. It closes the stager when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(server.stager.close)

    desk = Desk(server)
    methods = ["GET", "HEAD", "POST"]
    routes = [
        Route("/static/{path:path}", desk.static, methods=["GET", "HEAD"]),
        Route("/{path:path}", desk.call, methods=methods),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard)],
        exception_handlers={404: _not_found, 405: _method_not_allowed},
    )
    app.router.redirect_slashes = False  # every path is one of ours, or there is no such path
    return app


async def _method_not_allowed(request: Asked, error: Exception) -> Response:
    headers = getattr(error, "headers", None)
    return _response(405, f"{request.method[:20]} is not a method of this path", headers)


async def _not_found(request: Asked, error: Exception) -> Response:
    # The routes take every other path: theirs begin with /, and are of one line.
    return _response(404, "a path begins with /, and holds no end of a line")


def _response(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    one_line = " ".join(sentence.split())
    body = f"{one_line}\n".encode("utf-8", "replace")
    return Response(body, status, headers, media_type="text/plain")


class Desk:
    """Take requests and have them answered."""

    def __init__(self, server: rpc.Server) -> None:
        self._server = server
        self._waiting = CapacityLimiter(WAITING)

    async def static(self, request: Asked) -> Response:
        """Serve a file; the build is in use until the last byte has gone."""
        path = _path(request.scope).removeprefix("/static/")
        file = await to_thread.run_sync(self._open, path)
        try:
            part = part_of(file, request.headers)
        except BaseException:
            file.close()
            raise
        return _FileResponse(file, partial(send_part, file, part))

    def _open(self, path: str) -> OpenFile:
        layout = self._server.layout
        if path.endswith("/"):
            raise Refused(404, "folders below /static/ are not listed")
        found = layout.inside(path.lstrip("/"))
        build = layout.build_of(str(found.relative_to(layout.static_dir)))
        with ExitStack() as held:
            if build is not None:
                held.enter_context(self._server.stager.in_use(build))
            file = open_file(found)
            file.held.push(held.pop_all())
            return file

    async def call(self, request: Asked) -> Response:
        """Find the call of a path and carry it out in a thread."""
        name, _, rest = _path(request.scope).strip("/").partition("/")
        if name == "static":
            if request.method == "POST":
                raise Refused(405, "POST is not a method of files; ask by GET")
            raise Refused(404, "there is no such file below /static/")
        where = base_url(request.headers, request.scope.get("server"))
        if name == "doc":
            return _of(pages.doc(rest.strip("/")))
        if name in ("", "index"):
            return _of(await to_thread.run_sync(pages.index, self._server, where))
        found = rpc.find(name, self._server.options)
        _check_method(request, found, rest)
        call = await _call_of(request, found, rest, where)
        request.scope["state"]["asked"] = shown_in_log(call.parameters, found.parameters)
        if not call.parameters and not rest and name == "latestbuild":
            return _of(pages.doc(name))  # as the ChromiumOS dev server does
        if not found.is_long:
            return _of(await to_thread.run_sync(found.run, self._server, call))
        self._server.health.staging += 1
        try:
            work = partial(to_thread.run_sync, limiter=self._waiting, abandon_on_cancel=True)
            return _of(await work(found.run, self._server, call))
        finally:
            self._server.health.staging -= 1


def _path(scope: Scope) -> str:
    """Give the decoded path, with what is not UTF-8 as file names have it."""
    raw = scope.get("raw_path")
    if isinstance(raw, bytes):
        return unquote(raw.decode("latin-1"), errors="surrogateescape")
    return str(scope["path"])


def _check_method(request: Asked, found: rpc.Rpc, rest: str) -> None:
    if request.method == "HEAD" and not found.is_safe:
        raise Refused(405, f"{found.name} changes something: ask by GET or POST")
    if rest and not found.path:
        raise Refused(404, f"there is nothing below /{found.name}")
    if not rest.isprintable():
        raise Refused(400, f"the path behind /{found.name} holds a control character")


async def _call_of(request: Asked, found: rpc.Rpc, rest: str, where: str) -> rpc.Call:
    query = bytes(request.scope.get("query_string", b""))
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    body = b""
    if request.method == "POST":
        body = await _body(request, LONGEST_FORM if is_form else LONGEST_BODY)
    parameters = parameters_of(query, body if is_form else b"")
    client = request.client.host if request.client else "unknown"
    return rpc.Call(parameters, rest, where, client, request.method, body)


async def _body(request: Asked, most: int) -> bytes:
    too_long = Refused(413, f"a request of this kind has at most {most} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_long
    except TimeoutError:
        raise Refused(408, "the rest of the request did not come") from None
    return bytes(body)


def _of(answer: rpc.Answer) -> Response:
    kind = f"{answer.kind}; charset=utf-8" if answer.kind.startswith("text/") else answer.kind
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(answer.body, answer.status, {**headers, **answer.headers}, media_type=kind)


class _FileResponse(Response):
    """Send a part of a file, and close the file whatever happens."""

    def __init__(self, file: OpenFile, sending: Callable[[Scope, Send], Awaitable[None]]) -> None:
        self._file, self._sending = file, sending
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._sending(scope, send)
        finally:
            self._file.close()


# --- around every request -------------------------------------------------------------------


@dataclass
class _Note:
    """What is written to the log about a request."""

    status: int = 0
    count: int = 0
    cut: bool = False
    begun: float = field(default_factory=time.monotonic)


class Guard:
    """Refuse what is too long, turn failures into sentences, and log a line for each request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = _Note()
        scope["state"] = dict(scope.get("state") or {})

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                note.status = message["status"]
            else:
                note.count += int(message.get("count") or len(message.get("body", b"")))
            await send(_for_head(message) if scope["method"] == "HEAD" else message)

        try:
            await self._guarded(scope, receive, sending, note)
        finally:
            _log(scope, note)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, note: _Note) -> None:
        try:
            _check_lengths(scope)
            await self._app(scope, receive, send)
        except ClientDisconnect:
            note.cut = True
        except OSError as error:
            # Of a file that cannot be sent to its end, or of a client that went away meanwhile.
            note.cut = True
            if not note.status:
                await _refusal(scope, error)(scope, receive, send)
        except Exception as error:
            if note.status:
                raise _Cut() from error
            await _refusal(scope, error)(scope, receive, send)


class _Cut(Exception):
    """The answer broke in its middle; cutting the connection is all that can be done."""


def _for_head(message: Message) -> Message:
    return {**message, "body": b""} if message["type"] == "http.response.body" else message


def _check_lengths(scope: Scope) -> None:
    if len(scope.get("raw_path") or scope["path"]) > 3 * LONGEST_PATH:
        raise Refused(414, f"a path has at most {LONGEST_PATH} characters")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEAD:
        raise Refused(431, f"the head of the request is too long, at most {LONGEST_HEAD} bytes")
    if len(scope.get("query_string", b"")) > LONGEST_QUERY:
        raise Refused(414, f"a query has at most {LONGEST_QUERY} bytes")


def _refusal(scope: Scope, error: Exception) -> Response:
    if not isinstance(error, Refused):
        log.error("%s failed", _shown(scope), exc_info=error)
        error = Refused(500, "the dev server failed; its log says why")
    headers = dict(error.headers) if isinstance(error, NotWithin) else {}
    if error.status == 405:
        headers["allow"] = "GET, POST"
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the request is not read
    return _response(error.status, error.sentence, headers)


def _log(scope: Scope, note: _Note) -> None:
    client = scope.get("client")
    seconds = time.monotonic() - note.begun
    length = "cut off" if note.cut else f"{note.count} bytes"
    who = client[0] if client else "-"
    access.info("%s %s %d %s %.3f s", who, _shown(scope), note.status, length, seconds)


def _shown(scope: Scope) -> str:
    """Write a request for the log: no control characters, no secrets."""
    path = str(scope["path"])[:300].encode("unicode_escape", "replace").decode()
    asked = scope.get("state", {}).get("asked", "")
    words = asked.encode("unicode_escape", "replace").decode()
    return f"{scope['method'][:20]} {path}" + (f" {words}" if words else "")

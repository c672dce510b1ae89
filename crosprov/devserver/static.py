"""/static/: files of builds, whole or in part, and never one from outside of static_dir."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.utils import formatdate, mktime_tz, parsedate_tz
from pathlib import Path
from typing import Any

from crosprov.devserver.failures import Refused

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

ZERO_COPY = "http.response.zerocopysend"
PIECE = 256 * 1024  # bytes at a time where the server cannot send files by itself


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading; `close` gives up all that is held for it."""

    number: int
    status: os.stat_result
    name: str
    held: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close the file, then what was entered for its sake."""
        os.close(self.number)
        self.held.close()


def open_file(path: Path) -> OpenFile:
    """Open a regular file at a path without links; raises Refused 404 when there is none."""
    missing = Refused(404, "there is no such file below /static/")
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise missing from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise missing
    return OpenFile(number, status, path.name)


# --- conditional requests and ranges (RFC 9110, sections 13 and 14) -------------------------


def etag_of(status: os.stat_result) -> str:
    """Name a version of a file by its time, its size and its place on the disk."""
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'


def matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names a version; weak tags count."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or etag in [tag.removeprefix("W/") for tag in tags]


def unchanged_since(header: str, modified: float) -> bool:
    """Tell whether a time in HTTP's notation is not before the file's."""
    try:
        parsed = parsedate_tz(header)
        return parsed is not None and int(modified) <= mktime_tz(parsed)
    except (ValueError, OverflowError, IndexError):
        return False


class NotWithin(Refused):
    """A range begins behind the end of the file."""

    def __init__(self, size: int) -> None:
        super().__init__(416, f"the file has {size} bytes, and the range begins behind them")
        self.headers = {"content-range": f"bytes */{size}"}


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Give first byte and count of a Range header, None when the whole file is the answer.

    Several ranges are answered with the whole, as RFC 9110 allows. Raises NotWithin when the
    range begins behind the end.
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.replace(" ", ""))
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or start > end:
        raise NotWithin(size)
    return start, end - start + 1


@dataclass(frozen=True, slots=True)
class Part:
    """What of a file goes to a client: `count` bytes from `start`, under a status and headers."""

    status: int
    headers: dict[str, str]
    start: int = 0
    count: int = 0


def part_of(file: OpenFile, headers: Mapping[str, str]) -> Part:
    """Choose what a client gets. `headers` has names in small letters; raises NotWithin."""
    status, etag = file.status, etag_of(file.status)
    modified = formatdate(status.st_mtime, usegmt=True)
    described = {"etag": etag, "last-modified": modified, "accept-ranges": "bytes"}
    if _known(headers, etag, status):
        return Part(304, described)
    described["content-type"] = content_type(file.name)
    described["x-content-type-options"] = "nosniff"
    wanted, condition = headers.get("range"), headers.get("if-range")
    part = None
    if wanted is not None and condition in (None, etag, modified):
        part = range_of(wanted, status.st_size)
    start, count = part or (0, status.st_size)
    described["content-length"] = str(count)
    if part:
        described["content-range"] = f"bytes {start}-{start + count - 1}/{status.st_size}"
    return Part(206 if part else 200, described, start, count)


def _known(headers: Mapping[str, str], etag: str, status: os.stat_result) -> bool:
    tags, since = headers.get("if-none-match"), headers.get("if-modified-since")
    if tags is not None:
        return matches(tags, etag)
    return since is not None and unchanged_since(since, status.st_mtime)


def content_type(name: str) -> str:
    """Guess the type of a file by its name; what is compressed or unknown is bytes."""
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"


# --- sending --------------------------------------------------------------------------------


async def send_part(file: OpenFile, part: Part, scope: Mapping[str, Any], send: Send) -> None:
    """Send a part of a file to a client; by the kernel where the server offers that."""
    headers = [(name.encode(), value.encode()) for name, value in part.headers.items()]
    await send({"type": "http.response.start", "status": part.status, "headers": headers})
    if scope["method"] == "HEAD" or not part.count:
        await send({"type": "http.response.body", "body": b""})
    elif ZERO_COPY in scope.get("extensions", {}):
        place = {"file": file.number, "offset": part.start, "count": part.count}
        await send({"type": ZERO_COPY, **place})
    else:
        await _copy(file, part, send)


async def _copy(file: OpenFile, part: Part, send: Send) -> None:
    start, end = part.start, part.start + part.count
    while start < end:
        data = await asyncio.to_thread(os.pread, file.number, min(PIECE, end - start), start)
        if not data:
            raise OSError("the file became shorter while it was sent")
        start += len(data)
        await send({"type": "http.response.body", "body": data, "more_body": start < end})

"""Uploads: in one request, as media or multipart, and resumable ones in chunks."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from . import resources, writes
from .bodies import related
from .call import Call, Reply, parsed
from .checksums import Sums, sums_of_file
from .failures import ApiError
from .model import Fields, Version

GRANULE = 256 * 1024  # bytes: the service keeps multiples of it until the last chunk
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(slots=True)
class Session:
    """Hold a resumable upload: the request that began it, and the bytes that are there."""

    begun_by: Call
    name: str
    written: Fields
    path: Path
    received: int = 0
    done: Version | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Sessions:
    """Know the resumable uploads that are under way, by their id."""

    known: dict[str, Session] = field(default_factory=dict)


def insert(call: Call) -> Reply:
    """Make an object from a request's body, or begin a resumable upload."""
    kind = call.word("uploadType")
    if kind == "resumable":
        return _begin(call)
    if kind == "multipart":
        text, media_type, media = related(call.body, call.headers.get("Content-Type", ""))
        written = parsed(text)
    elif kind == "media":
        written, media_type, media = {}, call.headers.get("Content-Type", ""), call.body.blocks()
    else:
        raise ApiError(400, f"Invalid uploadType: {kind}")
    name = writes.checked_name(call.word("name") or written.get("name"))
    _complete(call, written, media_type)
    with call.store.lock:
        writes.may_write(call, call.bucket(), name)
    path = call.scratch()
    try:
        sums = _save(path, media)
        return _finish(call, name, written, path, sums)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _complete(call: Call, written: Fields, media_type: str) -> None:
    """Add what the query and the headers say to the fields of an object."""
    if call.word("contentEncoding"):
        written["contentEncoding"] = call.word("contentEncoding")
    if media_type:
        written.setdefault("contentType", media_type)


def _save(path: Path, media: Iterable[bytes]) -> Sums:
    sums = Sums()
    with path.open("wb") as file:
        for block in media:
            sums.update(block)
            file.write(block)
    return sums


def _finish(call: Call, name: str, written: Fields, path: Path, sums: Sums) -> Reply:
    writes.check_sums(sums, writes.expected_sums(written, dict(call.headers.items())))
    content = call.store.keep(path, sums)
    version = writes.put(call, call.names["bucket"], name, content, written)
    return _reply(call, version)


def _reply(call: Call, version: Version) -> Reply:
    bucket = call.store.bucket(version.bucket)
    return Reply.of_json(resources.object_resource(version, bucket, call.base_url, full=call.full))


def _begin(call: Call) -> Reply:
    written = call.json()
    name = writes.checked_name(call.word("name") or written.get("name"))
    _complete(call, written, call.headers.get("X-Upload-Content-Type", ""))
    with call.store.lock:
        writes.may_write(call, call.bucket(), name)
    key = secrets.token_urlsafe(24)
    path = call.scratch()
    path.touch()
    call.sessions.known[key] = Session(call, name, written, path)
    place = f"{call.base_url}/upload/storage/v1/b/{quote(call.names['bucket'], safe='')}/o"
    where = f"{place}?uploadType=resumable&name={quote(name, safe='')}&upload_id={key}"
    return Reply(200, [("Location", where), ("X-GUploader-UploadID", key)])


def proceed(call: Call) -> Reply:
    """Take the next bytes of a resumable upload, or tell how many are there.

    The id is a secret that replaces the caller's token, as it does for the service.
    """
    session = call.sessions.known.get(call.word("upload_id") or "")
    if session is None:
        raise ApiError(404, "The upload session is not known or has expired.")
    with session.lock:
        if session.done is not None:
            return _reply(session.begun_by, session.done)
        first, last, total = _content_range(call)
        if first is not None:
            _take(call, session, first, last, total)
        if total is None or session.received < total:
            return _incomplete(session)
        if session.received > total:
            raise ApiError(400, f"{session.received} bytes were sent of an upload of {total}.")
        return _end(call, session)


def _content_range(call: Call) -> tuple[int | None, int | None, int | None]:
    """Return first and last byte and the size, as far as a request says them."""
    header = call.headers.get("Content-Range")
    if header is None:
        if "Content-Length" not in call.headers:
            raise ApiError(400, "The request says neither Content-Range nor Content-Length.")
        return 0, None, int(call.headers["Content-Length"])
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise ApiError(400, f"Invalid Content-Range: {header}")
    first, last, total = match.groups()
    size = None if total == "*" else int(total)
    if first is None:
        return None, None, size
    if int(last) < int(first) or (size is not None and int(last) >= size):
        raise ApiError(400, f"Invalid Content-Range: {header}")
    return int(first), int(last), size


def _take(call: Call, session: Session, first: int, last: int | None, total: int | None) -> None:
    """Write a chunk behind what is there; what came twice is left out."""
    if first > session.received:
        raise ApiError(400, f"Bytes from {first} on were sent; {session.received} bytes are there.")
    skip = session.received - first
    with session.path.open("r+b") as file:
        file.seek(session.received)
        try:
            for block in call.body.blocks():
                fresh = block[skip:]
                skip -= len(block) - len(fresh)
                file.write(fresh)
                session.received += len(fresh)
        finally:
            complete = total is not None and session.received >= total
            if not complete:
                session.received -= session.received % GRANULE
                file.truncate(session.received)
    if complete and last is not None and session.received != last + 1:
        raise ApiError(400, "The body is not as long as its Content-Range says.")


def _incomplete(session: Session) -> Reply:
    """Say how many bytes are there: 308, without a Range when there are none."""
    there = [("Range", f"bytes=0-{session.received - 1}")] if session.received else []
    return Reply(308, there)


def _end(call: Call, session: Session) -> Reply:
    begun_by = session.begun_by
    sums = sums_of_file(session.path)
    said = writes.expected_sums(session.written, dict(begun_by.headers.items()))
    writes.check_sums(sums, said | writes.expected_sums({}, dict(call.headers.items())))
    content = begun_by.store.keep(session.path, sums)
    session.done = writes.put(
        begun_by, begun_by.names["bucket"], session.name, content, session.written
    )
    return _reply(begun_by, session.done)


def cancel(call: Call) -> Reply:
    """Forget a resumable upload."""
    session = call.sessions.known.pop(call.word("upload_id") or "", None)
    if session is None:
        raise ApiError(404, "The upload session is not known or has expired.")
    with session.lock:
        if session.done is None:
            session.path.unlink(missing_ok=True)
    return Reply(499)

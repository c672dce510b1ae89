"""Downloads: whole, by range, decompressed on the way, in the JSON and the XML form."""

from __future__ import annotations

import base64
import re

from . import preconditions
from .access import permitted
from .call import Call, Reply, Span
from .failures import ApiError, no_such_object
from .model import Version

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_KEPT = (
    ("cacheControl", "Cache-Control"),
    ("contentDisposition", "Content-Disposition"),
    ("contentLanguage", "Content-Language"),
)


def media(call: Call) -> Reply:
    """Return an object's bytes as the JSON API does."""
    return _download(call, xml=False)


def public(call: Call) -> Reply:
    """Return an object's bytes at /BUCKET/OBJECT, as the XML API does."""
    return _download(call, xml=True)


def readable(call: Call) -> Version:
    """Return the version that a request names and its caller may read; raise ApiError.

    That an object is not there is told only to those who may list the bucket.
    """
    bucket = call.bucket()
    name = call.names["object"]
    version = bucket.find(name, call.number("generation"))
    if version is None:
        if not permitted(call.identity, "storage.objects.list", bucket):
            call.demand("storage.objects.get", None)
        raise no_such_object(bucket.name, name)
    call.demand("storage.objects.get", bucket, version)
    return version


def _download(call: Call, *, xml: bool) -> Reply:
    with call.store.lock:
        version = readable(call)
        preconditions.check(call, version, read=True)
        etag = f'"{_hex_md5(version)}"' if xml else version.etag
        preconditions.check_etag(call, etag, read=True)
        headers = _headers(version, etag, xml=xml)
        file = version.content.path.open("rb")
    size = version.content.size
    if _decompress(call, version):
        headers.append(("Warning", "214 UploadServer gunzipped"))
        return Reply(200, headers, Span(file, 0, size, gunzip=True))
    if version.fields.get("contentEncoding"):
        headers.append(("Content-Encoding", str(version.fields["contentEncoding"])))
    headers.append(("Accept-Ranges", "bytes"))
    try:
        start, end = _asked_range(call, size, etag)
    except ApiError:
        file.close()
        raise
    if (start, end) != (0, size) or _is_range(call, etag):
        headers.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
        return Reply(206, headers, Span(file, start, end - start))
    return Reply(200, headers, Span(file, 0, size))


def _headers(version: Version, etag: str, *, xml: bool) -> list[tuple[str, str]]:
    content = version.content
    sums = [f"crc32c={content.crc32c}", *([f"md5={content.md5}"] if content.md5 else [])]
    fields = version.fields
    headers = [
        ("Content-Type", str(fields.get("contentType") or "application/octet-stream")),
        ("ETag", etag),
        ("Last-Modified", version.updated.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        ("X-Goog-Generation", str(version.generation)),
        ("X-Goog-Metageneration", str(version.metageneration)),
        ("X-Goog-Stored-Content-Encoding", str(fields.get("contentEncoding") or "identity")),
        ("X-Goog-Stored-Content-Length", str(content.size)),
        ("X-Goog-Storage-Class", str(fields.get("storageClass") or "STANDARD")),
    ]
    # The XML API writes a header for each sum, the JSON API one for both.
    headers += [("X-Goog-Hash", word) for word in (sums if xml else [",".join(sums)])]
    headers += [(header, str(fields[key])) for key, header in _KEPT if fields.get(key)]
    return headers


def _hex_md5(version: Version) -> str:
    md5 = version.content.md5
    return base64.b64decode(md5).hex() if md5 else version.etag


def _is_range(call: Call, etag: str) -> bool:
    header = call.headers.get("Range")
    condition = call.headers.get("If-Range")
    if header is None or (condition is not None and condition != etag):
        return False
    match = _RANGE.fullmatch(header.strip())
    return match is not None and match.groups() != ("", "")


def _asked_range(call: Call, size: int, etag: str) -> tuple[int, int]:
    """Return start and end of the bytes that are asked for; raise ApiError 416 for none."""
    if not _is_range(call, etag):
        return 0, size
    match = _RANGE.fullmatch(call.headers["Range"].strip())
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(size - int(last), 0), size
    if start >= end:
        raise ApiError(
            416,
            "The requested range cannot be satisfied.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end


def _decompress(call: Call, version: Version) -> bool:
    """Return whether an object that is stored compressed is sent decompressed.

    https://cloud.google.com/storage/docs/transcoding: unless the client accepts gzip, or the
    object's Cache-Control says no-transform. A Range is then ignored.
    """
    if version.fields.get("contentEncoding") != "gzip":
        return False
    if "no-transform" in str(version.fields.get("cacheControl") or ""):
        return False
    return "gzip" not in call.headers.get("Accept-Encoding", "")

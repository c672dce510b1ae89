"""How a generation comes to be and goes: permissions, preconditions, holds, one step each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from . import acls, preconditions
from .call import Call
from .checksums import Sums
from .failures import ApiError, no_such_object
from .model import Bucket, Content, Fields, Version
from .resources import object_fields

_LONGEST_NAME = 1024  # bytes of UTF-8


def checked_name(name: str | None) -> str:
    """Return an object's name; raise ApiError 400 for one that the service refuses."""
    if not name:
        raise ApiError(400, "Required", "required")
    if len(name.encode()) > _LONGEST_NAME or name in (".", "..") or set("\r\n") & set(name):
        raise ApiError(400, f"Disallowed object name: '{name[:80]}'")
    return name


def may_write(call: Call, bucket: Bucket, name: str) -> None:
    """Raise ApiError unless the caller may make this object now and its preconditions hold.

    To replace an object is to delete it: that needs the permission for both.
    """
    call.demand("storage.objects.create", bucket)
    live = bucket.live(name)
    preconditions.check(call, live)
    if live is not None:
        call.demand("storage.objects.delete", bucket)
        _refuse_protected(bucket, live)


def put(call: Call, bucket_name: str, name: str, content: Content, written: Fields) -> Version:
    """Make a content the current generation of an object, atomically; raise ApiError."""
    with call.store.lock:
        bucket = call.store.bucket(bucket_name)
        may_write(call, bucket, name)
        predefined = call.word("predefinedAcl") or call.word("destinationPredefinedAcl")
        acl = acls.for_new_object(bucket, call.identity, predefined, written.get("acl"))
        fields = {key: value for key, value in object_fields(written).items() if value is not None}
        _refuse_haste(call, bucket_name, name)
        version = Version(
            bucket_name,
            name,
            content,
            call.store.next_generation(),
            fields,
            acl,
            call.identity.email,
        )
        bucket.add(version)
        return version


def delete(call: Call) -> None:
    """Delete the object or the generation that a request names; raise ApiError."""
    with call.store.lock:
        bucket = call.bucket()
        generation = call.number("generation")
        version = bucket.find(call.names["object"], generation)
        call.demand("storage.objects.delete", bucket, version)
        if version is None:
            raise no_such_object(bucket.name, call.names["object"])
        preconditions.check(call, version)
        _refuse_protected(bucket, version)
        _refuse_haste(call, bucket.name, version.name)
        bucket.delete(version, for_good=generation is not None)


def _refuse_haste(call: Call, bucket: str, name: str) -> None:
    """Raise ApiError 429 for a second write of an object within the interval."""
    now, last = time.monotonic(), call.store.written.get((bucket, name))
    if last is not None and now - last < call.write_interval:
        raise ApiError(
            429,
            f"The object {bucket}/{name} exceeded the rate limit for object mutation operations"
            " (create, update, and delete). Please reduce your request rate.",
        )
    call.store.written[bucket, name] = now


def _refuse_protected(bucket: Bucket, version: Version) -> None:
    where = f"Object '{bucket.name}/{version.name}'"
    for key, kind in (("temporaryHold", "Temporary"), ("eventBasedHold", "Event-Based")):
        if version.fields.get(key):
            raise ApiError(
                403,
                f"{where} is under active {kind} hold and cannot be deleted, overwritten or"
                " archived until hold is removed.",
                "objectUnderActiveHold",
            )
    period = int((bucket.fields.get("retentionPolicy") or {}).get("retentionPeriod") or 0)
    until = version.created + timedelta(seconds=period)
    if until > datetime.now(UTC):
        raise ApiError(
            403,
            f"{where} is subject to bucket's retention policy and cannot be deleted, overwritten"
            f" or archived until {until.isoformat()}",
            "retentionPolicyNotMet",
        )


def expected_sums(written: Fields, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the sums that a client says its bytes have: md5 and crc32c, in base64."""
    found = {
        kind: str(written[key])
        for kind, key in (("md5", "md5Hash"), ("crc32c", "crc32c"))
        if written.get(key)
    }
    for word in headers.get("X-Goog-Hash", "").split(","):
        kind, _, value = word.strip().partition("=")
        if kind in ("md5", "crc32c"):
            found[kind] = value
    if headers.get("Content-MD5"):
        found["md5"] = headers["Content-MD5"]
    return found


def check_sums(sums: Sums, expected: Mapping[str, str]) -> None:
    """Raise ApiError 400 when bytes do not have the sums that the client said."""
    for kind, actual in (("md5", sums.md5), ("crc32c", sums.crc32c)):
        given = expected.get(kind)
        if given is not None and given != actual:
            label = "MD5 hash" if kind == "md5" else "CRC32C"
            raise ApiError(
                400, f'Provided {label} "{given}" doesn\'t match calculated {label} "{actual}".'
            )

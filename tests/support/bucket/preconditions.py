"""Preconditions: on which generation and metageneration a request insists."""

from __future__ import annotations

from .call import Call
from .failures import ApiError, precondition_failed
from .model import Bucket, Version


def check(call: Call, version: Version | None, *, prefix: str = "if", read: bool = False) -> None:
    """Raise ApiError 412 unless a request's preconditions hold for what is there now.

    Generation 0 stands for no current object. `prefix` is `ifSource` for the source of a copy.
    A read whose ...NotMatch does not hold is answered with 304.
    """
    generation = version.generation if version is not None else 0
    metageneration = version.metageneration if version is not None else 0
    for key, value in (("Generation", generation), ("Metageneration", metageneration)):
        wanted = call.number(f"{prefix}{key}Match")
        if wanted is not None and wanted != value:
            raise precondition_failed()
        unwanted = call.number(f"{prefix}{key}NotMatch")
        if unwanted is not None and unwanted == value:
            raise ApiError(304, "") if read else precondition_failed()


def check_bucket(call: Call, bucket: Bucket, *, read: bool = False) -> None:
    """Raise ApiError 412 (or 304 for a read) unless a bucket's preconditions hold."""
    wanted = call.number("ifMetagenerationMatch")
    if wanted is not None and wanted != bucket.metageneration:
        raise precondition_failed()
    if call.number("ifMetagenerationNotMatch") == bucket.metageneration:
        raise ApiError(304, "") if read else precondition_failed()


def check_etag(call: Call, etag: str, *, read: bool = False) -> None:
    """Raise ApiError 412 or 304 unless If-Match and If-None-Match hold for an ETag."""
    wanted = call.headers.get("If-Match")
    if wanted is not None and not _names(wanted, etag):
        raise precondition_failed()
    unwanted = call.headers.get("If-None-Match")
    if unwanted is not None and _names(unwanted, etag):
        raise ApiError(304, "") if read else precondition_failed()


def _names(header: str, etag: str) -> bool:
    words = [word.strip().removeprefix("W/").strip('"') for word in header.split(",")]
    return "*" in words or etag.strip('"') in words

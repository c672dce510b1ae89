"""Buckets and objects as the JSON API shows them, and what clients may write in them."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any
from urllib.parse import quote

from . import acls
from .access import PROJECT_NUMBER
from .failures import ApiError
from .model import Bucket, Fields, Version

OBJECT_FIELDS = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "eventBasedHold",
    "metadata",
    "storageClass",
    "temporaryHold",
)
BUCKET_FIELDS = (
    "cors",
    "defaultEventBasedHold",
    "iamConfiguration",
    "labels",
    "lifecycle",
    "location",
    "retentionPolicy",
    "rpo",
    "softDeletePolicy",
    "storageClass",
    "versioning",
    "website",
)
_MOST_METADATA = 8 * 1024  # bytes of an object's own keys and values


def instant(when: datetime) -> str:
    """Return a time as the API writes it: RFC 3339 with milliseconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


def object_resource(
    version: Version, bucket: Bucket, base_url: str, *, full: bool = False
) -> dict[str, Any]:
    """Return an object as the API shows it; its ACL only in the full projection."""
    path = f"storage/v1/b/{version.bucket}/o/{quote(version.name, safe='')}"
    content = version.content
    found: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": f"{base_url}/{path}",
        "mediaLink": f"{base_url}/download/{path}?generation={version.generation}&alt=media",
        "name": version.name,
        "bucket": version.bucket,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        "storageClass": "STANDARD",
        "size": str(content.size),
        "crc32c": content.crc32c,
        "etag": version.etag,
        "timeCreated": instant(version.created),
        "updated": instant(version.updated),
        "timeStorageClassUpdated": instant(version.created),
        **copy.deepcopy(version.fields),
    }
    if content.md5 is not None:
        found["md5Hash"] = content.md5
    if content.components is not None:
        found["componentCount"] = content.components
    if version.deleted is not None:
        found["timeDeleted"] = instant(version.deleted)
    if full and not bucket.uniform:
        found["acl"] = acls.entries(version.acl, bucket, version)
        if version.owner:
            found["owner"] = {"entity": f"user-{version.owner}"}
    return found


def bucket_resource(bucket: Bucket, base_url: str, *, full: bool = False) -> dict[str, Any]:
    """Return a bucket as the API shows it; its ACLs only in the full projection."""
    fields = copy.deepcopy(bucket.fields)
    settings = fields.setdefault("iamConfiguration", {})
    settings.setdefault("publicAccessPrevention", "inherited")
    for key in ("uniformBucketLevelAccess", "bucketPolicyOnly"):
        settings[key] = {"enabled": bucket.uniform}
    found: dict[str, Any] = {
        "kind": "storage#bucket",
        "id": bucket.name,
        "selfLink": f"{base_url}/storage/v1/b/{bucket.name}",
        "name": bucket.name,
        "projectNumber": PROJECT_NUMBER,
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "metageneration": str(bucket.metageneration),
        "etag": f"CA{bucket.metageneration}=",
        "timeCreated": instant(bucket.created),
        "updated": instant(bucket.updated),
        **fields,
    }
    if full and not bucket.uniform:
        found["acl"] = acls.entries(acls.of_bucket(bucket), bucket)
        found["defaultObjectAcl"] = acls.entries(bucket.default_acl, bucket)
    return found


def object_fields(written: Fields) -> Fields:
    """Return what a client may set of what it wrote about an object; null removes a value."""
    found = {key: written[key] for key in OBJECT_FIELDS if key in written}
    own = found.get("metadata")
    if own is not None:
        if not isinstance(own, dict):
            raise ApiError(400, "metadata is an object of strings.")
        if sum(len(f"{key}{value}".encode()) for key, value in own.items()) > _MOST_METADATA:
            raise ApiError(400, f"The metadata is longer than {_MOST_METADATA} bytes.")
    return found


def bucket_fields(written: Fields) -> Fields:
    """Return the settings that a client wrote of a bucket, under today's names."""
    found = {key: copy.deepcopy(written[key]) for key in BUCKET_FIELDS if key in written}
    settings = found.get("iamConfiguration")
    if settings:
        old = settings.pop("bucketPolicyOnly", None)  # what uniform access was called in 2018
        if old is not None:
            settings.setdefault("uniformBucketLevelAccess", {"enabled": old.get("enabled")})
    return found


def merged(old: Fields, new: Fields) -> Fields:
    """Return fields with a client's patch (RFC 7396): objects are merged, null removes."""
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result

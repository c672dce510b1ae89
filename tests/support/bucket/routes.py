"""Which operation a method and a path name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from . import aclops, buckets, downloads, oauth, objects, uploads
from .call import Call, Reply
from .failures import ApiError

Operation = Callable[[Call], Reply]

_BUCKET = r"/storage/v1/b/(?P<bucket>[^/]+)"
_OBJECT = _BUCKET + r"/o/(?P<object>[^/]+)"
_NEW = r"/b/(?P<new_bucket>[^/]+)/o/(?P<new_object>[^/]+)"
_ENTRIES = {"GET": aclops.listing, "POST": aclops.insert}
_ENTRY = {
    "GET": aclops.get,
    "PUT": aclops.insert,
    "PATCH": aclops.insert,
    "DELETE": aclops.delete,
}
_UPLOAD = {"POST": uploads.insert, "PUT": uploads.proceed, "DELETE": uploads.cancel}

# Slashes of a name are percent-encoded in the JSON API, so a name is one step of the path.
_TABLE: tuple[tuple[str, Mapping[str, Operation]], ...] = (
    (oauth.PATH, {"POST": oauth.exchange}),
    (r"/storage/v1/b", {"GET": buckets.listing, "POST": buckets.create}),
    (
        _BUCKET,
        {
            "GET": buckets.get,
            "PATCH": buckets.patch,
            "PUT": buckets.update,
            "DELETE": buckets.delete,
        },
    ),
    (_BUCKET + r"/iam", {"GET": buckets.get_policy, "PUT": buckets.set_policy}),
    (_BUCKET + r"/iam/testPermissions", {"GET": buckets.held_permissions}),
    (_BUCKET + r"/acl", _ENTRIES),
    (_BUCKET + r"/acl/(?P<entity>[^/]+)", _ENTRY),
    (_BUCKET + r"/(?P<default>defaultObjectAcl)", _ENTRIES),
    (_BUCKET + r"/(?P<default>defaultObjectAcl)/(?P<entity>[^/]+)", _ENTRY),
    (_BUCKET + r"/o", {"GET": objects.listing}),
    (
        _OBJECT,
        {
            "GET": objects.get,
            "PATCH": objects.patch,
            "PUT": objects.update,
            "DELETE": objects.delete,
        },
    ),
    (_OBJECT + r"/acl", _ENTRIES),
    (_OBJECT + r"/acl/(?P<entity>[^/]+)", _ENTRY),
    (_OBJECT + r"/compose", {"POST": objects.compose}),
    (_OBJECT + r"/copyTo" + _NEW, {"POST": objects.copy}),
    (_OBJECT + r"/rewriteTo" + _NEW, {"POST": objects.rewrite}),
    (r"/upload" + _BUCKET + r"/o", _UPLOAD),
    (r"/resumable/upload" + _BUCKET + r"/o", _UPLOAD),
    (r"/download" + _OBJECT, {"GET": downloads.media, "HEAD": downloads.media}),
)
_ROUTES = tuple((re.compile(pattern), methods) for pattern, methods in _TABLE)
_PUBLIC = re.compile(r"/(?P<bucket>[^/]+)/(?P<object>.+)")
_API = re.compile(r"/(?:(?:upload|download|resumable/upload)/)?storage/v1(?:/|$)|/batch(?:/|$)")


def is_api(path: str) -> bool:
    """Return whether a path belongs to the JSON API, and not to a bucket's public form."""
    return _API.match(path) is not None


def find(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """Return the operation that a request names, and the decoded names in its path.

    Raises ApiError 404 or 405 for what is none.
    """
    for pattern, methods in _ROUTES:
        match = pattern.fullmatch(path)
        if match:
            return _of_method(method, methods), _names(match)
    if not is_api(path) and (match := _PUBLIC.fullmatch(path)):
        reading = {"GET": downloads.public, "HEAD": downloads.public}
        return _of_method(method, reading), _names(match)
    raise ApiError(404, f"This server for tests has nothing at {path}.")


def _of_method(method: str, methods: Mapping[str, Operation]) -> Operation:
    if method not in methods:
        raise ApiError(405, f"{method} is not allowed here.")
    return methods[method]


def _names(match: re.Match[str]) -> dict[str, str]:
    try:
        return {
            key: unquote(value, errors="strict")
            for key, value in match.groupdict().items()
            if value is not None
        }
    except UnicodeDecodeError:
        raise ApiError(400, "The path is no UTF-8.") from None

"""Operations on buckets: create, get, list, change, delete, and who may do what in them."""

from __future__ import annotations

import re
from typing import Any

from . import acls, preconditions, resources
from .access import PERMISSIONS, ROLES, permitted, refuse_public
from .call import Call, Reply
from .failures import ApiError, precondition_failed
from .model import Bucket, Fields, Policy, default_policy

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def create(call: Call) -> Reply:
    """Make a bucket."""
    call.demand("storage.buckets.create", None)
    written = call.json()
    name = str(written.get("name") or "")
    with call.store.lock:
        bucket = made(call, name, written)
        return _reply(call, bucket)


def made(call: Call, name: str, written: Fields) -> Bucket:
    """Return a new bucket; raise ApiError 400 for a bad name, 409 when it is there."""
    if not _NAME.fullmatch(name):
        raise ApiError(400, f"Invalid bucket name: '{name}'")
    fields = resources.bucket_fields(written)
    probe = Bucket(name, fields)
    bucket = call.store.create(
        name, fields, default_policy(uniform=probe.uniform), dict(acls.DEFAULT_OBJECT_ACL)
    )
    _change_acls(call, bucket, written)
    return bucket


def _reply(call: Call, bucket: Bucket) -> Reply:
    return Reply.of_json(resources.bucket_resource(bucket, call.base_url, full=call.full))


def get(call: Call) -> Reply:
    """Return a bucket's resource."""
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.buckets.get", bucket)
        preconditions.check_bucket(call, bucket, read=True)
        return _reply(call, bucket)


def listing(call: Call) -> Reply:
    """Return a page of the project's buckets; the token is the name of the next one."""
    call.demand("storage.buckets.list", None)
    limit = call.number("maxResults") or 1000
    start, prefix = call.word("pageToken") or "", call.word("prefix") or ""
    with call.store.lock:
        names = sorted(
            name for name in call.store.buckets if name >= start and name.startswith(prefix)
        )
        items = [
            resources.bucket_resource(call.store.buckets[name], call.base_url, full=call.full)
            for name in names[:limit]
        ]
    found: dict[str, Any] = {"kind": "storage#buckets", "items": items}
    if len(names) > limit:
        found["nextPageToken"] = names[limit]
    return Reply.of_json(found)


def patch(call: Call) -> Reply:
    """Change the settings that a client names."""
    return _change(call, replace=False)


def update(call: Call) -> Reply:
    """Replace all settings."""
    return _change(call, replace=True)


def _change(call: Call, *, replace: bool) -> Reply:
    written = call.json()
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.buckets.update", bucket)
        preconditions.check_bucket(call, bucket)
        _change_acls(call, bucket, written)
        before = {} if replace else bucket.fields
        bucket.fields = resources.merged(before, resources.bucket_fields(written))
        bucket.changed()
        return _reply(call, bucket)


def _change_acls(call: Call, bucket: Bucket, written: Fields) -> None:
    wanted = call.word("predefinedAcl")
    wanted_default = call.word("predefinedDefaultObjectAcl")
    if wanted or wanted_default or written.get("acl") or written.get("defaultObjectAcl"):
        acls.refuse_uniform(bucket, "use ACL API to update bucket policy")
    if wanted:
        acls.set_bucket(bucket, acls.predefined_bucket(wanted))
    elif written.get("acl"):
        acls.set_bucket(bucket, acls.read(written["acl"], ("OWNER", "WRITER", "READER")))
    if wanted_default or written.get("defaultObjectAcl"):
        default = (
            acls.predefined_default(wanted_default)
            if wanted_default
            else acls.read(written["defaultObjectAcl"], ("OWNER", "READER"))
        )
        refuse_public(bucket, default)
        bucket.default_acl = default


def delete(call: Call) -> Reply:
    """Delete an empty bucket; raise ApiError 409 for one with objects."""
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.buckets.delete", bucket)
        preconditions.check_bucket(call, bucket)
        if bucket.objects:
            raise ApiError(409, "The bucket you tried to delete is not empty.", "conflict")
        del call.store.buckets[bucket.name]
    return Reply(204)


def get_policy(call: Call) -> Reply:
    """Return who has which role."""
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.buckets.getIamPolicy", bucket)
        return Reply.of_json(_policy_resource(bucket))


def _policy_resource(bucket: Bucket) -> dict[str, Any]:
    bindings = [{"role": role, "members": sorted(who)} for role, who in bucket.policy.items()]
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket.name}",
        "version": 1,
        "etag": _policy_etag(bucket),
        "bindings": bindings,
    }


def _policy_etag(bucket: Bucket) -> str:
    return f"CAE{bucket.policy_version}="


def set_policy(call: Call) -> Reply:
    """Replace who has which role; raise ApiError 412 when it changed since it was read."""
    written = call.json()
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.buckets.setIamPolicy", bucket)
        if written.get("etag") not in (None, _policy_etag(bucket)):
            raise precondition_failed()
        policy = _read_policy(written.get("bindings") or [])
        for members in policy.values():
            refuse_public(bucket, members)
        bucket.policy = policy
        bucket.policy_version += 1
        return Reply.of_json(_policy_resource(bucket))


def _read_policy(bindings: list[Any]) -> Policy:
    policy: Policy = {}
    for binding in bindings:
        role = binding.get("role")
        if role not in ROLES:
            raise ApiError(400, f"Role {role} is not supported for this resource.")
        if binding.get("condition"):
            raise ApiError(400, "This server for tests knows no conditions of bindings.")
        policy.setdefault(role, set()).update(binding.get("members") or [])
    return policy


def held_permissions(call: Call) -> Reply:
    """Return which of some permissions the caller has."""
    asked = call.query.get("permissions", [])
    with call.store.lock:
        bucket = call.bucket()
        for permission in asked:
            if permission not in PERMISSIONS:
                raise ApiError(400, f"Permission {permission} is not valid for this resource.")
        held = [one for one in asked if permitted(call.identity, one, bucket)]
    return Reply.of_json({"kind": "storage#testIamPermissionsResponse", "permissions": held})

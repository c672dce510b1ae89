"""Operations on single entries of ACLs: of objects, of buckets, and of a bucket's default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import acls
from .access import refuse_public
from .call import Call, Reply
from .failures import ApiError
from .model import Acl, Bucket, Version


@dataclass(frozen=True, slots=True)
class _Target:
    """Hold an ACL that a request names, and how a changed one is put in its place."""

    bucket: Bucket
    version: Version | None
    acl: Acl
    roles: tuple[str, ...]
    keep: Callable[[Acl], None]


def _target(call: Call, permission: str) -> _Target:
    bucket = call.bucket()
    if "object" in call.names:
        version = bucket.find(call.names["object"], call.number("generation"))
        call.demand(f"storage.objects.{permission}", bucket, version)
        version = bucket.version(call.names["object"], call.number("generation"))
        acls.refuse_uniform(bucket, "get legacy ACL for an object")
        return _Target(bucket, version, version.acl, ("OWNER", "READER"), _keeper(version))
    call.demand(f"storage.buckets.{permission}", bucket)
    acls.refuse_uniform(bucket, "use ACL API to update bucket policy")
    if "default" in call.names:
        roles: tuple[str, ...] = ("OWNER", "READER")
        return _Target(bucket, None, bucket.default_acl, roles, _default_keeper(bucket))
    roles = ("OWNER", "WRITER", "READER")
    return _Target(bucket, None, acls.of_bucket(bucket), roles, _bucket_keeper(bucket))


def _keeper(version: Version) -> Callable[[Acl], None]:
    def keep(acl: Acl) -> None:
        version.acl = acl
        version.changed()

    return keep


def _default_keeper(bucket: Bucket) -> Callable[[Acl], None]:
    def keep(acl: Acl) -> None:
        bucket.default_acl = acl
        bucket.changed()

    return keep


def _bucket_keeper(bucket: Bucket) -> Callable[[Acl], None]:
    def keep(acl: Acl) -> None:
        acls.set_bucket(bucket, acl)
        bucket.changed()

    return keep


def listing(call: Call) -> Reply:
    """Return all entries."""
    with call.store.lock:
        target = _target(call, "getIamPolicy")
        items = acls.entries(target.acl, target.bucket, target.version)
    kind = "bucket" if target.roles[1] == "WRITER" else "object"
    return Reply.of_json({"kind": f"storage#{kind}AccessControls", "items": items})


def get(call: Call) -> Reply:
    """Return one entry."""
    with call.store.lock:
        target = _target(call, "getIamPolicy")
        return _entry(target, _present(call, target))


def _present(call: Call, target: _Target) -> str:
    entity = call.names["entity"]
    if entity not in target.acl:
        raise ApiError(404, f"The specified access control of {entity} does not exist.")
    return entity


def _entry(target: _Target, entity: str) -> Reply:
    role = target.acl[entity]
    return Reply.of_json(acls.entry_resource(entity, role, target.bucket, target.version))


def insert(call: Call) -> Reply:
    """Add an entry, or give the entity another role."""
    written = call.json()
    with call.store.lock:
        target = _target(call, "setIamPolicy")
        entity, role = acls.read_entry(
            {**written, **({"entity": call.names["entity"]} if "entity" in call.names else {})},
            target.roles,
        )
        refuse_public(target.bucket, [entity])
        target.acl[entity] = role
        target.keep(target.acl)
        return _entry(target, entity)


def delete(call: Call) -> Reply:
    """Remove an entry."""
    with call.store.lock:
        target = _target(call, "setIamPolicy")
        del target.acl[_present(call, target)]
        target.keep(target.acl)
    return Reply(204)

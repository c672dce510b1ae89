"""ACLs of objects and buckets: the predefined ones, and what clients send and get."""

from __future__ import annotations

from typing import Any

from .access import (
    PROJECT_NUMBER,
    PUBLIC,
    Identity,
    entity_of_member,
    member_of_entity,
    refuse_public,
)
from .failures import ApiError
from .model import Acl, Bucket, Policy, Version

_OWNERS = f"project-owners-{PROJECT_NUMBER}"
_EDITORS = f"project-editors-{PROJECT_NUMBER}"
_VIEWERS = f"project-viewers-{PROJECT_NUMBER}"

# https://cloud.google.com/storage/docs/access-control/lists#predefined-acl; the uploader owns
# the object in addition.
_OBJECT_ACLS: dict[str, Acl] = {
    "private": {},
    "projectPrivate": {_OWNERS: "OWNER", _EDITORS: "OWNER", _VIEWERS: "READER"},
    "publicRead": {"allUsers": "READER"},
    "authenticatedRead": {"allAuthenticatedUsers": "READER"},
    "bucketOwnerFullControl": {_OWNERS: "OWNER"},
    "bucketOwnerRead": {_OWNERS: "READER"},
}
_BUCKET_ACLS: dict[str, Acl] = {
    "private": {},
    "projectPrivate": {_OWNERS: "OWNER", _EDITORS: "OWNER", _VIEWERS: "READER"},
    "publicRead": {"allUsers": "READER"},
    "publicReadWrite": {"allUsers": "WRITER"},
    "authenticatedRead": {"allAuthenticatedUsers": "READER"},
}
# A bucket's ACL is another view of these roles.
_BUCKET_ROLES = {
    "OWNER": "roles/storage.legacyBucketOwner",
    "WRITER": "roles/storage.legacyBucketWriter",
    "READER": "roles/storage.legacyBucketReader",
}
DEFAULT_OBJECT_ACL = _OBJECT_ACLS["projectPrivate"]
_UNIFORM = "https://cloud.google.com/storage/docs/uniform-bucket-level-access"


def refuse_uniform(bucket: Bucket, doing: str = "use legacy ACL for an object") -> None:
    """Raise ApiError 400 when the bucket has no ACLs because access is uniform."""
    if bucket.uniform:
        raise ApiError(
            400,
            f"Cannot {doing} when uniform bucket-level access is enabled. Read more at {_UNIFORM}",
        )


def for_new_object(
    bucket: Bucket, owner: Identity, predefined: str | None, entries: object | None
) -> Acl:
    """Return the ACL of an object that is made; none where access is uniform."""
    if predefined is not None or entries is not None:
        refuse_uniform(bucket, "insert legacy ACL for an object")
    if bucket.uniform:
        return {}
    if predefined is not None:
        acl = _predefined(_OBJECT_ACLS, predefined)
    elif entries is not None:
        acl = read(entries, ("OWNER", "READER"))
    else:
        acl = dict(bucket.default_acl)
    refuse_public(bucket, acl)
    return {**acl, **({f"user-{owner.email}": "OWNER"} if owner.email else {})}


def predefined_default(name: str) -> Acl:
    """Return a predefined ACL for a bucket's new objects; raise ApiError 400 for another word."""
    return _predefined(_OBJECT_ACLS, name)


def predefined_bucket(name: str) -> Acl:
    """Return a predefined ACL of a bucket; raise ApiError 400 for another word."""
    return _predefined(_BUCKET_ACLS, name)


def _predefined(table: dict[str, Acl], name: str) -> Acl:
    if name not in table:
        raise ApiError(400, f"Invalid value '{name}'. Values must be within: {sorted(table)}")
    return dict(table[name])


def read(entries: object, roles: tuple[str, ...]) -> Acl:
    """Return the ACL that a client wrote as a list; raise ApiError 400 for what is none."""
    if not isinstance(entries, list):
        raise ApiError(400, "An ACL is a list of entries.")
    return dict(read_entry(entry, roles) for entry in entries)


def read_entry(entry: object, roles: tuple[str, ...]) -> tuple[str, str]:
    """Return entity and role of an ACL's entry; raise ApiError 400 for what is none."""
    if not isinstance(entry, dict):
        raise ApiError(400, "An entry of an ACL is an object with entity and role.")
    entity, role = entry.get("entity"), entry.get("role")
    if role not in roles:
        raise ApiError(400, f"Invalid role: {role}; values must be within: {list(roles)}")
    kind, dash, rest = str(entity).partition("-")
    known = kind in ("user", "group", "domain", "project") and dash and rest
    if entity not in PUBLIC and not known:
        raise ApiError(400, f"Invalid entity: {entity}")
    return str(entity), str(role)


def of_bucket(bucket: Bucket) -> Acl:
    """Return the ACL that a bucket's policy amounts to."""
    found: Acl = {}
    for role, name in reversed(_BUCKET_ROLES.items()):
        for member in sorted(bucket.policy.get(name, ())):
            found[entity_of_member(member)] = role
    return found


def set_bucket(bucket: Bucket, acl: Acl) -> None:
    """Change a bucket's policy so that it amounts to an ACL."""
    refuse_public(bucket, acl)
    legacy: Policy = {name: set() for name in _BUCKET_ROLES.values()}
    for entity, role in acl.items():
        legacy[_BUCKET_ROLES[role]].add(member_of_entity(entity))
    kept = {role: who for role, who in bucket.policy.items() if role not in legacy}
    bucket.policy = {**kept, **{role: who for role, who in legacy.items() if who}}


def entry_resource(
    entity: str, role: str, bucket: Bucket, version: Version | None = None
) -> dict[str, Any]:
    """Return an entry of an ACL as the API gives it."""
    found: dict[str, Any] = {
        "kind": f"storage#{'bucket' if version is None else 'object'}AccessControl",
        "bucket": bucket.name,
        "entity": entity,
        "role": role,
        "etag": "CAE=",
    }
    if version is not None:
        found |= {"object": version.name, "generation": str(version.generation)}
    kind, _, rest = entity.partition("-")
    if kind in ("user", "group"):
        found["email"] = rest
    elif kind == "domain":
        found["domain"] = rest
    elif kind == "project":
        team, _, number = rest.partition("-")
        found["projectTeam"] = {"projectNumber": number, "team": team}
    return found


def entries(acl: Acl, bucket: Bucket, version: Version | None = None) -> list[dict[str, Any]]:
    """Return an ACL as the API gives it."""
    return [entry_resource(entity, role, bucket, version) for entity, role in acl.items()]

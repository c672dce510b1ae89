"""Who asks, and what roles and ACLs allow: the part of Google's IAM that buckets need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .failures import ApiError

if TYPE_CHECKING:
    from .model import Bucket, Version

PROJECT = "test-project"
PROJECT_NUMBER = "1234567890"
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})

_OBJECTS = frozenset(
    f"storage.objects.{verb}"
    for verb in ("create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update")
)
_BUCKETS = frozenset(
    f"storage.buckets.{verb}"
    for verb in ("delete", "get", "getIamPolicy", "setIamPolicy", "update")
)
_LEGACY_WRITER = frozenset(
    {
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
    }
)
_OWNER_OF_OBJECT = frozenset(
    f"storage.objects.{verb}" for verb in ("get", "getIamPolicy", "setIamPolicy", "update")
)
# https://cloud.google.com/storage/docs/access-control/iam-roles, as far as it is about objects.
ROLES: Mapping[str, frozenset[str]] = {
    "roles/storage.objectViewer": frozenset({"storage.objects.get", "storage.objects.list"}),
    "roles/storage.objectCreator": frozenset({"storage.objects.create"}),
    "roles/storage.objectUser": _OBJECTS - {"storage.objects.setIamPolicy"},
    "roles/storage.objectAdmin": _OBJECTS,
    "roles/storage.admin": _OBJECTS | _BUCKETS,
    "roles/storage.bucketViewer": frozenset({"storage.buckets.get"}),
    "roles/storage.legacyObjectReader": frozenset({"storage.objects.get"}),
    "roles/storage.legacyObjectOwner": _OWNER_OF_OBJECT,
    "roles/storage.legacyBucketReader": frozenset({"storage.buckets.get", "storage.objects.list"}),
    "roles/storage.legacyBucketWriter": _LEGACY_WRITER,
    "roles/storage.legacyBucketOwner": _LEGACY_WRITER | (_BUCKETS - {"storage.buckets.delete"}),
}
PERMISSIONS = _OBJECTS | _BUCKETS
_ACL_ROLES = {"OWNER": _OWNER_OF_OBJECT, "READER": frozenset({"storage.objects.get"})}
_IN_PROJECT = {
    "owner": frozenset({"storage.buckets.create", "storage.buckets.list"}),
    "editor": frozenset(
        {"storage.buckets.create", "storage.buckets.list", "storage.buckets.delete"}
    ),
    "viewer": frozenset({"storage.buckets.list"}),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Name a caller: `email` is empty for an anonymous one.

    `project` is the caller's basic role in the only project there is: owner (who may do
    everything), editor, viewer, or none.
    """

    email: str = ""
    project: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """Return how the service calls the caller in a sentence."""
        return self.email or "Anonymous caller"

    def members(self) -> frozenset[str]:
        """Return what stands for the caller in a policy."""
        if not self.email:
            return frozenset({"allUsers"})
        found = {f"user:{self.email}", f"serviceAccount:{self.email}", *PUBLIC}
        found.add(f"domain:{self.email.rpartition('@')[2]}")
        found.update(f"group:{group}" for group in self.groups)
        if self.project:
            found.add(f"project{self.project.capitalize()}:{PROJECT}")
        return frozenset(found)


ANONYMOUS = Identity()


@dataclass(slots=True)
class Tokens:
    """Know bearer tokens and whose they are."""

    known: dict[str, Identity] = field(default_factory=dict)

    def identify(self, authorization: str | None) -> Identity:
        """Return who sent an Authorization header; raise ApiError 401 for an unknown token."""
        if authorization is None:
            return ANONYMOUS
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or token not in self.known:
            raise ApiError(401, "Invalid Credentials", "authError", _CHALLENGE)
        return self.known[token]

    def of(self, email: str) -> str | None:
        """Return the first token of somebody, None without one."""
        return next((token for token, who in self.known.items() if who.email == email), None)


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'}


def permitted(
    identity: Identity, permission: str, bucket: Bucket | None, version: Version | None = None
) -> bool:
    """Return whether a caller may do a thing with a bucket or with one of its objects."""
    if identity.project == "owner":
        return True
    if bucket is None:
        return permission in _IN_PROJECT.get(identity.project, frozenset())
    if permission in _IN_PROJECT.get(identity.project, frozenset()):
        return True
    members = identity.members()
    if bucket.public_access_prevented:
        members -= PUBLIC
    for role, holders in bucket.policy.items():
        if permission in ROLES[role] and members & holders:
            return True
    if version is None or bucket.uniform:
        return False
    return any(
        member_of_entity(entity) in members and permission in _ACL_ROLES[role]
        for entity, role in version.acl.items()
    )


def demand(
    identity: Identity, permission: str, bucket: Bucket | None, version: Version | None = None
) -> None:
    """Raise ApiError 401 (anonymous) or 403 unless a caller may do a thing."""
    if permitted(identity, permission, bucket, version):
        return
    what = "object" if ".objects." in permission else "bucket"
    message = (
        f"{identity.name} does not have {permission} access to the Google Cloud Storage {what}."
        f" Permission '{permission}' denied on resource (or it may not exist)."
    )
    if identity.email:
        raise ApiError(403, message)
    raise ApiError(401, message, headers=_CHALLENGE)


_PROJECT_TEAMS = {"owners": "Owner", "editors": "Editor", "viewers": "Viewer"}


def member_of_entity(entity: str) -> str:
    """Return the member of a policy that an entity of an ACL stands for."""
    if entity in PUBLIC:
        return entity
    kind, _, rest = entity.partition("-")
    if kind == "project":
        team, _, _number = rest.partition("-")
        return f"project{_PROJECT_TEAMS.get(team, team)}:{PROJECT}"
    return f"{kind}:{rest}"


def entity_of_member(member: str) -> str:
    """Return the entity of an ACL that a member of a policy stands for."""
    if member in PUBLIC:
        return member
    kind, _, rest = member.partition(":")
    if kind.startswith("project"):
        return f"project-{kind.removeprefix('project').lower()}s-{PROJECT_NUMBER}"
    return f"{'user' if kind == 'serviceAccount' else kind}-{rest}"


def refuse_public(bucket: Bucket, named: Iterable[str]) -> None:
    """Raise ApiError 412 when public access is prevented and the public is named."""
    if bucket.public_access_prevented and PUBLIC & set(named):
        raise ApiError(
            412,
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public"
            " access prevention is enforced.",
        )

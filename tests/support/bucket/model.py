"""Buckets, objects and their generations. Metadata is in memory, contents are files."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .access import PROJECT
from .checksums import Sums, sums_of_file
from .failures import ApiError, no_such_bucket, no_such_object

Fields = dict[str, Any]
Acl = dict[str, str]  # entity -> role
Policy = dict[str, set[str]]  # role -> members


@dataclass(frozen=True, slots=True)
class Content:
    """Name the file that holds an object's bytes, and their sums.

    `md5` is None for a composed object. A file that is not `owned` was there before the server
    and is never removed.
    """

    path: Path
    size: int
    crc32c: str
    md5: str | None
    owned: bool = True
    components: int | None = None


@dataclass(slots=True)
class Version:
    """Hold one generation of an object; it is noncurrent when `deleted` is set."""

    bucket: str
    name: str
    content: Content
    generation: int
    fields: Fields = field(default_factory=dict)
    acl: Acl = field(default_factory=dict)
    owner: str = ""
    metageneration: int = 1
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    deleted: datetime | None = None

    @property
    def etag(self) -> str:
        """Return the JSON API's ETag, which changes with data and metadata."""
        return base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode()

    def changed(self) -> None:
        """Count a change of the metadata."""
        self.metageneration += 1
        self.updated = datetime.now(UTC)


@dataclass(slots=True)
class Bucket:
    """Hold a bucket: its settings, who may do what, and all generations of its objects."""

    name: str
    fields: Fields = field(default_factory=dict)
    policy: Policy = field(default_factory=dict)
    default_acl: Acl = field(default_factory=dict)
    metageneration: int = 1
    policy_version: int = 1
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    objects: dict[str, list[Version]] = field(default_factory=dict)  # oldest generation first
    names: list[str] = field(default_factory=list)  # sorted by code point, as UTF-8 sorts

    @property
    def versioned(self) -> bool:
        """Return whether replaced and deleted generations are kept."""
        return bool(self.fields.get("versioning", {}).get("enabled"))

    @property
    def uniform(self) -> bool:
        """Return whether uniform bucket-level access turns ACLs off."""
        settings = self.fields.get("iamConfiguration", {})
        return bool(settings.get("uniformBucketLevelAccess", {}).get("enabled"))

    @property
    def public_access_prevented(self) -> bool:
        """Return whether nothing in the bucket can be public."""
        settings = self.fields.get("iamConfiguration", {})
        return bool(settings.get("publicAccessPrevention") == "enforced")

    def changed(self) -> None:
        """Count a change of the settings."""
        self.metageneration += 1
        self.updated = datetime.now(UTC)

    def live(self, name: str) -> Version | None:
        """Return the current generation of an object, or None."""
        versions = self.objects.get(name)
        return versions[-1] if versions and versions[-1].deleted is None else None

    def find(self, name: str, generation: int | None = None) -> Version | None:
        """Return a generation of an object, the current one by default, or None."""
        if generation is None:
            return self.live(name)
        found = (one for one in self.objects.get(name, ()) if one.generation == generation)
        return next(found, None)

    def version(self, name: str, generation: int | None = None) -> Version:
        """Return a generation of an object; raise ApiError 404 when it is not there."""
        found = self.find(name, generation)
        if found is None:
            raise no_such_object(self.name, name)
        return found

    def add(self, version: Version) -> None:
        """Make a version the current one; the one before is kept only in a versioned bucket."""
        versions = self.objects.setdefault(version.name, [])
        if not versions:
            insort(self.names, version.name)
        elif versions[-1].deleted is None:
            self._retire(versions)
        versions.append(version)

    def delete(self, version: Version, *, for_good: bool) -> None:
        """Make a version noncurrent, or remove it: for good, or where nothing is kept."""
        versions = self.objects[version.name]
        if for_good:
            versions.remove(version)
            _discard(version.content)
        elif version.deleted is None:
            self._retire(versions)
        if not versions:
            del self.objects[version.name]
            del self.names[bisect_left(self.names, version.name)]

    def _retire(self, versions: list[Version]) -> None:
        if self.versioned:
            versions[-1].deleted = datetime.now(UTC)
        else:
            _discard(versions.pop().content)

    def sorted_versions(self, start: str, *, noncurrent: bool) -> Iterator[Version]:
        """Yield generations by name from `start` on, all or only the current ones."""
        for name in itertools.islice(self.names, bisect_left(self.names, start), None):
            for version in self.objects[name]:
                if noncurrent or version.deleted is None:
                    yield version


class Store:
    """Hold the buckets; `lock` guards everything but the contents of files."""

    def __init__(self, root: Path) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self.written: dict[tuple[str, str], float] = {}  # when each object changed last
        self._folder = root
        self._folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self._generation = 0

    def bucket(self, name: str) -> Bucket:
        """Return a bucket; raise ApiError 404 when it is not there."""
        try:
            return self.buckets[name]
        except KeyError:
            raise no_such_bucket() from None

    def create(self, name: str, fields: Fields, policy: Policy, default_acl: Acl) -> Bucket:
        """Make a bucket; raise ApiError 409 when it is there already."""
        if name in self.buckets:
            raise ApiError(
                409,
                "Your previous request to create the named bucket succeeded and you already"
                " own it.",
            )
        bucket = self.buckets[name] = Bucket(name, fields, policy, default_acl)
        return bucket

    def next_generation(self) -> int:
        """Return a number that grows: the time in microseconds, and never one twice."""
        with self.lock:
            self._generation = max(self._generation + 1, time.time_ns() // 1000)
            return self._generation

    def scratch(self) -> Path:
        """Return the path of a file that is not there yet."""
        return self._folder / f"{next(self._numbers):08}"

    def keep(self, path: Path, sums: Sums, *, owned: bool = True) -> Content:
        """Return the content that a finished file of known sums is."""
        return Content(path, sums.size, sums.crc32c, sums.md5, owned)

    def adopt(self, path: Path) -> Content:
        """Return the content that a file outside the server is; it stays where it is."""
        return self.keep(path, sums_of_file(path), owned=False)

    def duplicate(self, content: Content) -> Content:
        """Return a content of its own with the same bytes."""
        path = self.scratch()
        try:
            os.link(content.path, path)
        except OSError:
            shutil.copyfile(content.path, path)
        return Content(path, content.size, content.crc32c, content.md5, True, content.components)


def _discard(content: Content) -> None:
    if content.owned:
        content.path.unlink(missing_ok=True)


def default_policy(*, uniform: bool) -> Policy:
    """Return who may do what in a new bucket, as the service sets it."""
    managers = {f"projectEditor:{PROJECT}", f"projectOwner:{PROJECT}"}
    viewers = {f"projectViewer:{PROJECT}"}
    policy: Policy = {
        "roles/storage.legacyBucketOwner": set(managers),
        "roles/storage.legacyBucketReader": set(viewers),
    }
    if uniform:
        policy["roles/storage.legacyObjectOwner"] = set(managers)
        policy["roles/storage.legacyObjectReader"] = set(viewers)
    return policy

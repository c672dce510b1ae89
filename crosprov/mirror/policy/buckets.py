"""Buckets of Google Storage in addresses: which one an address names, and what it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from crosprov.mirror.presets import PRESETS

# The first part of the path is the bucket; what stands before it in the path is cut off.
_BY_PATH = {
    "storage.googleapis.com": "",
    "storage-download.googleapis.com": "",
    "commondatastorage.googleapis.com": "",
    "storage.cloud.google.com": "",
    "console.cloud.google.com": "storage/browser/",
    "console.developers.google.com": "storage/browser/",
    "pantheon.corp.google.com": "storage/browser/",
    "www.googleapis.com": "storage/v1/b/",
}
_BY_HOST = re.compile(r"(.+)\.(?:storage|commondatastorage)\.googleapis\.com", re.IGNORECASE)


class Object(NamedTuple):
    """Name an object: its bucket, and its path in it. `native` says that it was a gs:// one."""

    bucket: str
    path: str
    native: bool


def _documented(*, automatic: bool, public: bool, ours: bool) -> frozenset[str]:
    return frozenset(
        preset.bucket
        for preset in PRESETS.values()
        if (preset.kind == "automatic", preset.public, preset.filled_by_us)
        == (automatic, public, ours)
    )


@dataclass(frozen=True, slots=True)
class Buckets:
    """Say what the buckets of the project are for; the defaults are ChromiumOS's.

    `automatic` mirrors fill themselves, `public` and `private` ones are filled by people, and
    `partner` holds what partners uploaded. `family` are the beginnings of names that are the
    project's own, wherever they are asked for; a gs:// address is always taken for one.
    """

    automatic: frozenset[str] = _documented(automatic=True, public=True, ours=True)
    public: frozenset[str] = _documented(automatic=False, public=True, ours=True)
    private: frozenset[str] = _documented(automatic=False, public=False, ours=True)
    partner: frozenset[str] = _documented(automatic=False, public=False, ours=False)
    family: tuple[str, ...] = ("chromeos-", "chromiumos-", "cros-")

    @property
    def hidden(self) -> frozenset[str]:
        """Name the buckets that outsiders cannot read."""
        return self.private | self.partner

    @property
    def own(self) -> frozenset[str]:
        """Name the buckets for archives that people made themselves."""
        return self.public | self.private

    @property
    def allowed(self) -> frozenset[str]:
        """Name the buckets that ebuilds may fetch from."""
        return self.automatic | self.own | self.partner

    def is_foreign(self, thing: Object) -> bool:
        """Tell whether it is upstream's own bucket, a site like any other."""
        return not (
            thing.native or thing.bucket in self.allowed or thing.bucket.startswith(self.family)
        )


def object_of(uri: str) -> Object | None:
    """Find the bucket that an address names, in any of the ways to write it; else None."""
    if uri.startswith("gs://"):
        bucket, _, path = uri[5:].partition("/")
        return Object(bucket, path, True)
    if "google" not in uri.lower():
        return None  # most addresses are of other sites, and there are many
    try:
        parts = urlsplit(uri)
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https"):
        return None
    path = parts.path.lstrip("/")
    found = _BY_HOST.fullmatch(host)
    if found:
        return Object(found[1], path, False)
    if host not in _BY_PATH:
        return None
    for start in ("download/storage/v1/b/", _BY_PATH[host]):
        if start and path.startswith(start):
            path = path.removeprefix(start).replace("/o/", "/", 1)
    bucket, _, path = path.partition("/")
    return Object(bucket, path, False) if bucket else None

"""The mirrors of ChromiumOS, as the project documents them, under names.

Source: the ChromiumOS developer library, "ChromiumOS Archive Mirrors". These four are the only
places that its ebuilds may fetch archives from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["automatic", "manual"]
Visibility = Literal["public", "private"]

# What stands in front of a bucket's name when Google Storage is read over HTTP.
HOSTS = ("commondatastorage.googleapis.com", "storage.googleapis.com")
_READING = f"https://{HOSTS[0]}"


@dataclass(frozen=True, slots=True)
class Preset:
    """Describe a documented mirror.

    `kind` says who fills it: a program (automatic) or people (manual). `store` is where files
    are put, `address` where they are read, both with the folder that holds them; `acl` is what
    each file gets, by its name in gsutil. `forced` says that Portage is told to look there for
    everything; the files of the others have to be named in SRC_URI, with RESTRICT=mirror.
    `filled_by_us` is false for the one that partners fill through a front end of its own.
    """

    name: str
    kind: Kind
    visibility: Visibility
    store: str
    address: str
    acl: str
    forced: bool = False
    filled_by_us: bool = True

    @property
    def public(self) -> bool:
        """Tell whether everybody may read it."""
        return self.visibility == "public"

    @property
    def bucket(self) -> str:
        """Name its bucket."""
        return urlsplit(self.store).netloc

    @property
    def gentoo_mirror(self) -> str | None:
        """Give what stands for it in GENTOO_MIRRORS; Portage appends `/distfiles/NAME`."""
        return self.address.removesuffix("/distfiles") if self.forced else None


_ALL = (
    Preset(
        name="chromeos-localmirror",
        kind="manual",
        visibility="public",
        store="gs://chromeos-localmirror/distfiles",
        address=f"{_READING}/chromeos-localmirror/distfiles",
        acl="public-read",
        forced=True,
    ),
    Preset(
        name="chromeos-mirror/gentoo",
        kind="automatic",
        visibility="public",
        store="gs://chromeos-mirror/gentoo/distfiles",
        address=f"{_READING}/chromeos-mirror/gentoo/distfiles",
        acl="public-read",
        forced=True,
    ),
    Preset(
        name="chromeos-localmirror-private",
        kind="manual",
        visibility="private",
        store="gs://chromeos-localmirror-private/distfiles",
        address="gs://chromeos-localmirror-private/distfiles",
        acl="project-private",
    ),
    Preset(
        name="chromeos-binaries",
        kind="manual",
        visibility="private",
        store="gs://chromeos-binaries",
        address="gs://chromeos-binaries",
        acl="project-private",
        filled_by_us=False,
    ),
)

# In the order in which GENTOO_MIRRORS of the project's own configuration has the forced ones.
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}

GENTOO_MIRRORS = tuple(preset.gentoo_mirror for preset in _ALL if preset.gentoo_mirror is not None)


def bucket_of(uri: str) -> str | None:
    """Name the bucket of Google Storage that an address leads to; None when it leads to none.

    `gs://bucket/…` and both ways over HTTP, with the bucket in the path or in the host, count.
    """
    parts = urlsplit(uri)
    scheme, host = parts.scheme.lower(), (parts.netloc.rpartition("@")[2]).lower()
    if scheme == "gs":
        return parts.netloc or None
    if scheme not in ("http", "https"):
        return None
    host = re.sub(r":[0-9]+$", "", host)
    if host in HOSTS:
        return parts.path.lstrip("/").partition("/")[0] or None
    for suffix in HOSTS:
        if host.endswith(f".{suffix}"):
            return host[: -len(suffix) - 1]
    return None


def preset_of(uri: str) -> Preset | None:
    """Find the documented mirror that an address lies in; None for any other place."""
    bucket = bucket_of(uri)
    if bucket is None:
        return None
    return next((preset for preset in _ALL if preset.bucket == bucket), None)


def may_use(preset: Preset, *, public_tree: bool) -> bool:
    """Tell whether ebuilds of a tree may name it: public trees only what everybody can read."""
    return preset.public or not public_tree

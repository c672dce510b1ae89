"""A mirror as those who publish to it see it: where files go, who may read them, and where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from crosprov.mirror.hosts import Reader
from crosprov.mirror.model import Fault
from crosprov.mirror.presets import HOSTS, Kind
from crosprov.mirror.stores import Store, open_store
from crosprov.mirror.uris import address

PUBLIC_ACL = "public-read"
PRIVATE_ACL = "project-private"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Describe a mirror.

    `store` is an absolute folder or `gs://bucket/prefix`; `reading` the address below which
    users read, over HTTP, where that is not Google Storage's own. `credentials` is a file of
    Google's, `endpoint` another address of its service. `filled_by_us` is false where partners
    put the files through a front end of their own. `reader` may read over HTTP what is private.
    Raises Fault for a public ACL on a private mirror.
    """

    name: str
    store: str
    public: bool
    kind: Kind = "manual"
    reading: str | None = None
    acl: str | None = None
    filled_by_us: bool = True
    credentials: Path | None = None
    endpoint: str | None = None
    reader: Reader | None = None

    def __post_init__(self) -> None:
        if self.acl not in (None, self.wanted_acl):
            raise Fault(
                f"the mirror {self.name} is {'public' if self.public else 'private'}, and its "
                f"files are to get the ACL {self.acl}",
                hint=f"{self.wanted_acl} is the one that fits; leave the ACL out to get it",
            )

    @property
    def in_bucket(self) -> bool:
        """Tell whether it lies in Google Storage, and not in a folder."""
        return self.store.startswith("gs://")

    @property
    def bucket(self) -> str:
        """Name its bucket; empty for a folder."""
        return urlsplit(self.store).netloc if self.in_bucket else ""

    @property
    def prefix(self) -> str:
        """Give what stands before the names of its objects: nothing, or ends with a slash."""
        path = self.store.removeprefix(f"gs://{self.bucket}").strip("/") if self.in_bucket else ""
        return f"{path}/" if path else ""

    @property
    def service(self) -> str | None:
        """Give the address of Google Storage's service where it is not the usual one."""
        return self.endpoint or os.environ.get("STORAGE_EMULATOR_HOST")

    @property
    def wanted_acl(self) -> str:
        """Name the ACL that each file gets where access is not uniform."""
        return PUBLIC_ACL if self.public else PRIVATE_ACL

    def open(self) -> Store:
        """Open its store; nothing is asked or made by that."""
        acl = self.wanted_acl if self.in_bucket else None
        return open_store(self.store, credentials=self.credentials, endpoint=self.endpoint, acl=acl)

    def url(self, name: str) -> str | None:
        """Give the address at which users read a file; None for a folder that none is known of."""
        if self.reading is not None:
            return address(self.reading, name)
        if not self.in_bucket:
            return None
        host = (self.service or f"https://{HOSTS[0]}").rstrip("/")
        return address(f"{host}/{self.store.removeprefix('gs://')}", name)

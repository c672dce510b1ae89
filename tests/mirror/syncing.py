"""What tests of sync and verify share: an upstream with faults, a mirror, needs made by hand."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from crosprov.mirror.events import Event
from crosprov.mirror.folder import Folder
from crosprov.mirror.model import Archive, Need, Needs, Owner, Place, Uri
from crosprov.mirror.report import Failure, Report
from crosprov.mirror.stores import Store
from crosprov.mirror.sync import sync
from crosprov.mirror.sync_options import Options
from crosprov.mirror.verify import verify
from crosprov.mirror.web import Patience
from tests.support.bucket import BucketServer, bucket_server

QUICK = Patience(connect=5.0, silence=5.0, pauses=(0.0, 0.0))


def content(size: int, seed: object = 0) -> bytes:
    """Make bytes that look like nothing, always the same for a seed."""
    return random.Random(f"{seed}").randbytes(size)


def archive_of(
    name: str, data: bytes, algorithms: Iterable[str] = ("BLAKE2B", "SHA512")
) -> Archive:
    """Describe a content as a Manifest would."""
    names = {"RMD160": "ripemd160"}
    hashes = {one: hashlib.new(names.get(one, one.lower()), data).hexdigest() for one in algorithms}
    return Archive(name, len(data), hashes)


def owner(
    *uris: str | Uri, package: str = "dev-libs/foo", public: bool = True, tree: str = "overlay"
) -> Owner:
    """Make an ebuild that needs a file."""
    ebuild = f"{package}/{package.rpartition('/')[2]}-1.ebuild"
    asked = tuple(uri if isinstance(uri, Uri) else Uri(uri, False) for uri in uris)
    return Owner(tree, package, ebuild, "1", Place(f"{package}/Manifest", 3), asked, public)


def need_of(archive: Archive, *owners: Owner) -> Need:
    """Make a need, with an ebuild that names no address where none is given."""
    return Need(archive, owners or (owner(),))


def needs_of(*needs: Need) -> Needs:
    """Join needs."""
    return Needs({need.archive.name: need for need in needs})


@dataclass
class World:
    """A mirror in a folder, and a web server whose buckets are upstreams."""

    path: Path
    server: BucketServer
    files: dict[str, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def mirror(self) -> Path:
        """Name the folder of the mirror."""
        return self.path / "mirror"

    @property
    def store(self) -> Folder:
        """Open the mirror."""
        return Folder(str(self.mirror))

    @property
    def options(self) -> Options:
        """Give options that lose no time."""
        return Options(state=self.path / "state", workers=4, patience=QUICK)

    def upstream(self, name: str = "upstream-1") -> str:
        """Give the address of an upstream, as an inventory names it."""
        return f"{self.server.endpoint}/{name}"

    def offer(
        self,
        name: str,
        data: bytes,
        *,
        upstream: str = "upstream-1",
        path: str | None = None,
        **fields: Any,
    ) -> None:
        """Put a file on an upstream."""
        self.server.put(upstream, f"distfiles/{path or name}", data, **fields)

    def need(self, name: str, data: bytes | None = None, *owners: Owner, **given: Any) -> Need:
        """Make a need for a content, whether or not anybody has it."""
        data = content(3000, name) if data is None else data
        self.files.setdefault(name, data)
        return need_of(archive_of(name, data, **given), *owners)

    def sync(
        self,
        *needs: Need,
        upstreams: Sequence[str] | None = None,
        store: Store | None = None,
        **changes: Any,
    ) -> Report:
        """Sync the mirror from the first upstream, or from those that are named."""
        places = [self.upstream()] if upstreams is None else upstreams
        options = replace(self.options, **changes)
        return sync(needs_of(*needs), store or self.store, places, options, self.events.append)

    def verify(self, *needs: Need, **given: Any) -> Report:
        """Verify the mirror."""
        return verify(needs_of(*needs), self.store, self.options, self.events.append, **given)

    def published(self) -> Mapping[str, bytes]:
        """Read all that users of the mirror see in its folder."""
        found = sorted(self.mirror.iterdir()) if self.mirror.exists() else []
        return {path.name: path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Begin with an empty mirror."""
    with bucket_server(tmp_path / "gs") as server:
        server.bucket("upstream-1")
        yield World(tmp_path, server)


def only(report: Report) -> Failure:
    """Give the one failure of a report; raises ValueError when there are others."""
    (failure,) = report.failures
    return failure

"""The configuration of a mirror: what it holds, where that lies, and where it comes from.

On a host it is a file of JSON, which crosprov's role `mirror` writes; a controller makes the same
structure of an inventory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crosprov.mirror.checkouts import bring
from crosprov.mirror.hosts import MirrorHost, Reader
from crosprov.mirror.looking import is_folder
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault, Tree
from crosprov.mirror.presets import PRESETS, Kind, Visibility, preset_of
from crosprov.mirror.trees import open_tree


@dataclass(frozen=True, slots=True)
class TreeSource:
    """Say where a tree is: a folder, or a repository and a branch of it."""

    path: Path | None = None
    git: str | None = None
    branch: str | None = None
    public: bool = True
    masters: tuple[Path, ...] = ()

    @property
    def folder_name(self) -> str:
        """Name the folder of a checkout: after the repository, and different for each."""
        stem = re.sub(r"[^A-Za-z0-9._-]", "-", (self.git or "").rstrip("/").rpartition("/")[2])
        digest = hashlib.sha256(f"{self.git}\n{self.branch or ''}".encode()).hexdigest()
        return f"{stem.removesuffix('.git').lstrip('.-') or 'tree'}-{digest[:8]}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what a sync asks of others: `bandwidth` in bytes a second, 0 is no limit."""

    bandwidth: int = 0
    parallel: int = 8
    per_upstream: int = 4


@dataclass(frozen=True, slots=True)
class Config:
    """Describe a mirror.

    `store` is an absolute folder or `gs://bucket/prefix`. With `source_uris`, what the upstreams
    lack is fetched from where ebuilds say; without upstreams, everything is. `hashed` asks for
    the layout of GLEP 75 beside the flat one. `reading` is the address below which users read.
    `state` is the folder for the ledger, reports and checkouts; without it a mirror can be
    looked at, and not be filled. On a controller, `host` is what has the store's folder, and
    `reader` somebody who may read a private mirror; no file holds them.
    """

    name: str
    store: str
    kind: Kind = "manual"
    visibility: Visibility = "public"
    upstreams: tuple[str, ...] = ()
    trees: tuple[TreeSource, ...] = ()
    source_uris: bool = False
    hashed: bool = False
    limits: Limits = field(default_factory=Limits)
    credentials: Path | None = None
    endpoint: str | None = None
    reading: str | None = None
    filled_by_us: bool = True
    state: Path | None = None
    host: MirrorHost | None = field(default=None, compare=False, repr=False)
    reader: Reader | None = None

    def __post_init__(self) -> None:
        if self.kind == "manual" and self.upstreams:
            raise Fault(f"the mirror {self.name} is manual, so it has no upstreams")

    @property
    def public(self) -> bool:
        """Tell whether everybody may read it."""
        return self.visibility == "public"

    @property
    def digest(self) -> str:
        """Name what a sync brings here: it changes when another sync is wanted, 16 hex digits."""
        told = [
            self.store,
            self.hashed,
            self.upstreams,
            self.source_uris,
            [_told(tree) for tree in self.trees],
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def mirror(self) -> Mirror:
        """Give the mirror as those who publish to it see it."""
        return Mirror(
            name=self.name,
            store=self.store,
            public=self.public,
            kind=self.kind,
            reading=self.reading,
            filled_by_us=self.filled_by_us,
            credentials=self.credentials,
            endpoint=self.endpoint,
            reader=self.reader,
        )

    def state_folder(self) -> Path:
        """Give the folder for what is remembered, made when it is missing; raises Fault."""
        if self.state is None:
            raise Fault(
                f"nothing says where the mirror {self.name} keeps its ledger",
                hint="name a folder by --state",
            )
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Fault(
                f"the folder cannot be made: {error.strerror}", where=str(self.state)
            ) from None
        return self.state

    def open_trees(
        self, said: Callable[[str], object] = lambda text: None, *, wait: bool = False
    ) -> tuple[Tree, ...]:
        """Open the trees; those of git are brought here, or up to date, first. Raises Fault.

        With `wait`, another run that brings one is waited for.
        """
        trees = []
        for source in self.trees:
            if source.path is not None:
                trees.append(open_tree(source.path, public=source.public, masters=source.masters))
                continue
            said(f"fetching {source.git}")
            folder = self.state_folder() / "trees" / source.folder_name
            bring(source.git or "", folder, ref=source.branch, wait=wait)
            trees.append(open_tree(folder, public=source.public, masters=source.masters))
        return tuple(trees)


def of_place(place: str) -> Config:
    """Make the configuration of a documented mirror by its name, or of a folder or bucket.

    Other folders of a documented bucket are what the bucket is. Raises Fault for anything else.
    """
    preset = PRESETS.get(place)
    if preset is not None:
        return Config(
            name=preset.name,
            store=preset.store,
            kind=preset.kind,
            visibility=preset.visibility,
            reading=preset.address if preset.address.startswith("http") else None,
            filled_by_us=preset.filled_by_us,
        )
    known = next((one for one in PRESETS.values() if one.store == place.rstrip("/")), None)
    if known is not None:
        return of_place(known.name)
    if place.startswith("gs://"):
        bare = Config(name=place, store=place.rstrip("/"))
        near = preset_of(place)
        if near is None:
            return bare
        return replace(
            bare, kind=near.kind, visibility=near.visibility, filled_by_us=near.filled_by_us
        )
    if "/" in place or is_folder(place):
        return Config(name=place, store=str(Path(place).absolute()))
    alike = get_close_matches(place, PRESETS, n=1)
    raise Fault(
        f"{place} is no mirror",
        hint=f"did you mean {alike[0]}?"
        if alike
        else f"name a folder, gs://bucket/prefix or one of {', '.join(PRESETS)}",
    )


def _told(tree: TreeSource) -> Any:
    """Give what a sync brings by a tree; its masters only say how it is read."""
    return {key: value for key, value in plain(asdict(tree)).items() if key != "masters"}


def plain(value: Any) -> Any:
    """Turn a structure into what JSON has; what is None is left out."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value

"""The configuration of a mirror: what it holds, where that lies, and where it comes from.

On a host it is a file of JSON, which crosprov's role `mirror` writes; a controller makes the same
structure of an inventory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from crosprov.mirror.checkouts import bring
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault, Tree
from crosprov.mirror.presets import PRESETS, Kind, Visibility
from crosprov.mirror.trees import open_tree


@dataclass(frozen=True, slots=True)
class TreeSource:
    """Say where a tree is: a folder, or a repository and a branch of it."""

    path: Path | None = None
    git: str | None = None
    branch: str | None = None
    public: bool = True

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
    looked at, and not be filled.
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
            [_plain(asdict(tree)) for tree in self.trees],
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

    def open_trees(self, said: Callable[[str], object] = lambda text: None) -> tuple[Tree, ...]:
        """Open the trees; those of git are brought here, or up to date, first. Raises Fault."""
        trees = []
        for source in self.trees:
            if source.path is not None:
                trees.append(open_tree(source.path, public=source.public))
                continue
            said(f"fetching {source.git}")
            folder = self.state_folder() / "trees" / source.folder_name
            bring(source.git or "", folder, ref=source.branch)
            trees.append(open_tree(folder, public=source.public))
        return tuple(trees)


def of_place(place: str) -> Config:
    """Make the configuration of a documented mirror by its name, or of a folder or bucket.

    Raises Fault for anything else.
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
        return Config(name=place, store=place.rstrip("/"))
    if "/" in place or Path(place).is_dir():
        return Config(name=place, store=str(Path(place).absolute()))
    near = get_close_matches(place, PRESETS, n=1)
    raise Fault(
        f"{place} is no mirror",
        hint=f"did you mean {near[0]}?"
        if near
        else f"name a folder, gs://bucket/prefix or one of {', '.join(PRESETS)}",
    )


def read_config(path: Path) -> Config:
    """Read the configuration of a mirror; raises Fault, which names the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Fault(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise Fault("the file is not UTF-8 text", where=str(path)) from None
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> Config:
    """Make a configuration of JSON; raises Fault."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise Fault(f"this is no JSON: {error.msg}", where=f"{where}:{error.lineno}") from None
    try:
        return cast(Config, _read_file(given, ""))
    except Fault as fault:
        raise Fault(fault.sentence, hint=fault.hint, where=where) from None


def written(config: Config) -> str:
    """Write a configuration as JSON, without what is left at its default."""
    bare = _plain(asdict(Config(name="", store="")))
    told = _plain(asdict(config))
    kept = {key: value for key, value in told.items() if bare.get(key) != value}
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Turn a structure into what JSON has; what is None is left out."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


# --- reading: a function for each key, which gives the value or raises Fault --------------------

Read = Callable[[Any, str], Any]


def _of(kind: type, what: str) -> Read:
    def read(value: Any, key: str) -> Any:
        if not isinstance(value, kind) or value == "":
            raise Fault(f"{key} must be {what}")
        return value

    return read


_text = _of(str, "text")
_flag = _of(bool, "true or false")


def _path(value: Any, key: str) -> Path:
    if not isinstance(value, str) or not value.startswith("/"):
        raise Fault(f"{key} must be an absolute path")
    return Path(value)


def _store(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value.startswith(("/", "gs://")):
        raise Fault(f"{key} must be an absolute folder or gs://bucket/prefix")
    return value


def _number(least: int) -> Read:
    def read(value: Any, key: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Fault(f"{key} must be a whole number, {least} at least")
        return value

    return read


def _choice(choices: Sequence[str]) -> Read:
    def read(value: Any, key: str) -> str:
        if value not in choices:
            raise Fault(f"{key} must be {' or '.join(choices)}")
        return str(value)

    return read


def _list(item: Read) -> Read:
    def read(value: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Fault(f"{key} must be a list")
        return tuple(item(one, f"{key}[{number}]") for number, one in enumerate(value))

    return read


def _table(make: Callable[..., Any], keys: Mapping[str, Read], needed: Sequence[str] = ()) -> Read:
    def read(value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            raise Fault(f"{key or 'the file'} must be a mapping")
        before = f"{key}." if key else ""
        for name in value:
            if name not in keys:
                near = get_close_matches(name, keys, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(keys)}"
                raise Fault(f"{before}{name} is no key of a mirror's configuration", hint=hint)
        for name in needed:
            if name not in value:
                raise Fault(f"{before}{name} is missing")
        return make(**{name: keys[name](one, before + name) for name, one in value.items()})

    return read


def _tree(**given: Any) -> TreeSource:
    if ("path" in given) == ("git" in given):
        raise Fault("a tree must have exactly one of path and git")
    if "branch" in given and "git" not in given:
        raise Fault("a tree in a folder has no branch")
    return TreeSource(**given)


_LIMITS = {"bandwidth": _number(0), "parallel": _number(1), "per_upstream": _number(1)}
_TREE = {"path": _path, "git": _text, "branch": _text, "public": _flag}
_read_file = _table(
    Config,
    {
        "name": _text,
        "store": _store,
        "kind": _choice(get_args(Kind)),
        "visibility": _choice(get_args(Visibility)),
        "upstreams": _list(_text),
        "trees": _list(_table(_tree, _TREE)),
        "source_uris": _flag,
        "hashed": _flag,
        "limits": _table(Limits, _LIMITS),
        "credentials": _path,
        "endpoint": _text,
        "reading": _text,
        "filled_by_us": _flag,
        "state": _path,
    },
    ("name", "store"),
)

"""What an archive mirror holds, apart from the host that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from crosprov.inventory.fields import (
    AbsolutePath,
    GitAddress,
    GitBranch,
    Secret,
    Store,
    Upstream,
    WebAddress,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.mirror.presets import PRESETS, Preset, preset_of

PresetName = Literal[
    "chromeos-localmirror",
    "chromeos-mirror/gentoo",
    "chromeos-localmirror-private",
    "chromeos-binaries",
]


class TreeOfPackages(Section):
    """A tree of ebuilds whose Manifests say which archives are needed."""

    path: AbsolutePath | None = Field(
        None,
        description="its folder, on the mirror host; exactly one of this and git",
        examples=["/srv/trees/portage-stable"],
    )
    git: GitAddress | None = Field(
        None,
        description="its repository, which the mirror host fetches before each sync",
        examples=["https://git.example.com/overlays/portage-stable"],
    )
    branch: GitBranch | None = Field(
        None,
        description="what of the repository; without it what it points to by itself",
        examples=["main"],
    )
    public: bool = Field(
        True, description="whether everybody may see the tree itself", examples=[False]
    )

    masters: tuple[AbsolutePath, ...] = Field(
        (),
        description="folders, on the mirror host, of trees whose eclasses it uses and that are "
        "not among the mirror's trees themselves",
        examples=[["/srv/trees/chromiumos"]],
    )

    @model_validator(mode="after")
    def _in_one_place(self) -> TreeOfPackages:
        if (self.path is None) == (self.git is None):
            raise refusal("must have exactly one of path and git")
        if self.branch is not None and self.git is None:
            raise refusal("has a branch without git", "a folder is taken as it is")
        return self


def _as_tree(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Tree = Annotated[
    TreeOfPackages, BeforeValidator(_as_tree, json_schema_input_type=str | TreeOfPackages)
]


class Limits(Section):
    """What a sync asks of upstreams at most."""

    bandwidth: int = Field(
        0, ge=0, description="bytes a second in all; 0 is no limit", examples=[1_000_000]
    )
    parallel: int = Field(8, ge=1, le=64, description="files at the same time", examples=[8])
    per_upstream: int = Field(
        4, ge=1, le=64, description="requests to one upstream at the same time", examples=[2]
    )


def _complete_or_preset(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that a preset stands for the keys that are required otherwise."""
    required = schema.pop("required", [])
    schema["anyOf"] = [{"required": ["preset"]}, {"required": required}]


class _Twice:
    """Stand for what is written although a preset says it."""


def _preset_named(name: object) -> Preset | None:
    return PRESETS.get(name) if isinstance(name, str) else None


class Mirror(Section):
    """An archive mirror: a store of source archives, filled by hand or from upstream."""

    model_config = ConfigDict(json_schema_extra=_complete_or_preset)

    preset: PresetName | None = Field(
        None,
        description="one of the mirrors that ChromiumOS documents, which says kind, visibility "
        "and store",
        examples=["chromeos-localmirror"],
    )
    kind: Literal["automatic", "manual"] = Field(
        description="automatic is filled from upstream and nobody uploads by hand; manual is "
        "filled by people",
        examples=["automatic"],
    )
    visibility: Literal["public", "private"] = Field(
        "public",
        description="who may read it; an archive never goes from private to public",
        examples=["public"],
    )
    upstreams: tuple[Upstream, ...] = Field(
        (),
        description="where archives are fetched, tried in this order; automatic only. As in "
        "GENTOO_MIRRORS, /distfiles is added to an address of http, https or rsync that does not "
        "end with it. Without any they are fetched from where ebuilds say",
        examples=[["https://distfiles.gentoo.org"]],
    )
    source_uris: bool = Field(
        False,
        description="whether what all upstreams lack is fetched from where ebuilds say; otherwise "
        "it is reported as a fault of the upstreams",
        examples=[True],
    )
    trees: tuple[Tree, ...] = Field(
        (),
        description="trees of ebuilds that say which archives are needed; a bare path stands for "
        "a folder. An automatic mirror with trees is synced by its host",
        examples=[["/srv/trees/portage-stable"]],
    )
    store: Store = Field(
        description="where the archives lie", examples=["/srv/mirror/gentoo/distfiles"]
    )
    layout: Literal["flat", "hashed"] = Field(
        "flat",
        description="flat has all archives in one folder; hashed has them in the folders of "
        "GLEP 75, too, by hard links",
        examples=["flat"],
    )
    every: Literal["hourly", "daily", "weekly"] = Field(
        "daily", description="how often its host syncs it", examples=["daily"]
    )
    verify: Literal["never", "daily", "weekly", "monthly"] = Field(
        "weekly",
        description="how often its host reads all files again and compares them",
        examples=["weekly"],
    )
    limits: Limits | None = Field(
        None,
        description="what a sync asks of upstreams at most",
        examples=[{"bandwidth": 1_000_000}],
    )
    credentials: Secret | None = Field(
        None,
        description="the credentials file for Google Storage: JSON of a service account or of a "
        "user, or boto",
        examples=[{"file": "secrets/mirror.json"}],
    )
    storage_endpoint: WebAddress | None = Field(
        None,
        description="another address of Google Storage's API",
        examples=["http://10.0.0.5:9000"],
    )

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("preset") is None:
            return given
        preset = _preset_named(given["preset"]) or next(iter(PRESETS.values()))
        said = {"kind": preset.kind, "visibility": preset.visibility, "store": preset.store}
        return {**given, **{key: _Twice() if key in given else said[key] for key in said}}

    @field_validator("kind", "visibility", "store", mode="before")
    @classmethod
    def _said_once(cls, value: object, info: ValidationInfo) -> object:
        """Refuse each key that a preset says, and let the other problems be told, too."""
        if isinstance(value, _Twice):
            hint = f"take {info.field_name} out, or preset"
            raise refusal("is what the preset says", hint)
        return value

    @field_validator("upstreams", "source_uris", "layout", "every", "verify", "limits")
    @classmethod
    def _of_a_sync(cls, value: object, info: ValidationInfo) -> object:
        """Refuse on a manual mirror what would have no effect there; an idle value is none."""
        preset = _preset_named(info.data.get("preset"))
        kind = preset.kind if preset else info.data.get("kind")
        if kind == "manual" and value not in ((), False, "flat", None):
            hint = f"take {info.field_name} out"
            if preset is None:
                hint += ", or write kind: automatic"
            raise refusal("is for a sync, and a manual mirror is never synced", hint)
        return value

    @model_validator(mode="after")
    def _filled_one_way(self) -> Mirror:
        if self.upstreams and not self.trees:
            message = "has upstreams and no trees, so nothing says which archives are needed"
            raise refusal(message, "write trees: [/srv/trees/portage-stable]")
        if self.layout == "hashed" and self.folder is None:
            raise refusal("has layout hashed, which is made of links, in a bucket")
        return self

    @model_validator(mode="after")
    def _read_by_whom(self) -> Mirror:
        if self.folder is not None or self.preset is not None:
            return self
        known = preset_of(self.store)
        if known is not None and known.visibility != self.visibility:
            message = f"is {self.visibility}, and its bucket {known.bucket} is {known.visibility}"
            raise refusal(message, f"write visibility: {known.visibility}")
        if "visibility" not in self.model_fields_set:
            message = "is in a bucket, where files get an ACL, and does not say who may read them"
            raise refusal(message, "write visibility: private, or public")
        return self

    @property
    def folder(self) -> str | None:
        """The store as a folder, or None when it is a bucket."""
        return None if self.store.startswith("gs://") else self.store

    @property
    def synced(self) -> bool:
        """Tell whether a program fills it, from what its trees need."""
        return self.kind == "automatic" and bool(self.trees)

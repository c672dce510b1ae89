"""What an archive mirror holds, apart from the host that serves it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from crosprov.inventory.fields import AbsolutePath, Store, WebAddress, refusal
from crosprov.inventory.section import Section


class Mirror(Section):
    """An archive mirror: a store of source archives, filled by hand or from upstream."""

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
    upstreams: tuple[WebAddress, ...] = Field(
        (),
        description="where archives are fetched, tried in this order; automatic only "
        "(not carried out yet: the plan says so)",
        examples=[["https://distfiles.gentoo.org"]],
    )
    trees: tuple[AbsolutePath, ...] = Field(
        (),
        description="package trees whose Manifests say which archives are needed "
        "(not carried out yet: the plan says so)",
        examples=[["/srv/trees/portage-stable"]],
    )
    store: Store = Field(
        description="where the archives lie", examples=["/srv/mirror/gentoo/distfiles"]
    )

    @model_validator(mode="after")
    def _filled_one_way(self) -> Mirror:
        if self.kind == "manual" and self.upstreams:
            raise refusal("is manual, so it has no upstreams", "write kind: automatic")
        return self

    @property
    def folder(self) -> str | None:
        """The store as a folder, or None when it is a bucket."""
        return None if self.store.startswith("gs://") else self.store

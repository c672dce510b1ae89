"""The role `mirror`: serve archive mirrors over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from crosprov.inventory.fields import (
    InventoryPath,
    MirrorRef,
    PlainName,
    Port,
    Secret,
    refusal,
)
from crosprov.roles.role import Claim, Probe, RoleSettings, http_probe


class Settings(RoleSettings):
    """A web server for the stores of archive mirrors, which its host syncs."""

    after: ClassVar[tuple[str, ...]] = ("common",)

    serves: tuple[Annotated[str, MirrorRef()], ...] = Field(
        (),
        description="which entries of mirrors; their stores must be folders",
        examples=[["gentoo", "localmirror"]],
    )
    fills: tuple[Annotated[str, MirrorRef(in_bucket=True)], ...] = Field(
        (),
        description="which entries of mirrors it syncs without serving them; their stores must "
        "be buckets",
        examples=[["cloud"]],
    )
    port: Port = Field(80, description="port of the web server", examples=[80])
    readers: Mapping[PlainName, Secret] = Field(
        {},
        description="who may read the private mirrors that it serves, with their passwords; "
        "without any the dev hosts that name this host may, told apart by their addresses",
        examples=[{"dev1": {"file": "secrets/dev1-reader"}}],
    )
    wheelhouse: InventoryPath | None = Field(
        None,
        description="a folder that `crosprov wheelhouse` filled, for a controller without a "
        "package index; only mirrors that are synced need it",
        examples=["wheelhouse"],
    )

    @model_validator(mode="after")
    def _has_mirrors(self) -> Settings:
        if not self.serves and not self.fills:
            raise refusal("has neither serves nor fills", "write serves: [gentoo]")
        if self.readers and not self.serves:
            raise refusal("has readers and serves nothing that they could read")
        return self

    def claims(self) -> tuple[Claim, ...]:
        """Return the web server's port."""
        return (Claim(self.port, "port", "the mirror"),) if self.serves else ()

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for the front page."""
        return (http_probe(address, self.port, "/"),) if self.serves else ()

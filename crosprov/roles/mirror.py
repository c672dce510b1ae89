"""The role `mirror`: serve archive mirrors over HTTP."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from crosprov.inventory.fields import InventoryPath, MirrorRef, Port
from crosprov.roles.role import Claim, Probe, RoleSettings, http_probe


class Settings(RoleSettings):
    """A web server for the stores of archive mirrors, which its host syncs."""

    after: ClassVar[tuple[str, ...]] = ("common",)

    serves: tuple[Annotated[str, MirrorRef()], ...] = Field(
        min_length=1,
        description="which entries of mirrors; their stores must be folders",
        examples=[["gentoo", "localmirror"]],
    )
    port: Port = Field(80, description="port of the web server", examples=[80])
    wheelhouse: InventoryPath | None = Field(
        None,
        description="a folder that `crosprov wheelhouse` filled, for a controller without a "
        "package index; only mirrors that are synced need it",
        examples=["wheelhouse"],
    )

    def claims(self) -> tuple[Claim, ...]:
        """Return the web server's port."""
        return (Claim(self.port, "port", "the mirror"),)

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for the front page."""
        return (http_probe(address, self.port, "/"),)

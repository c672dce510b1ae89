"""The role `docker`: a Docker engine from the host's own distribution."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from crosprov.inventory.fields import AccountName, PackageName
from crosprov.roles.role import RoleSettings


class Settings(RoleSettings):
    """A Docker engine, enabled and running."""

    after: ClassVar[tuple[str, ...]] = ("common",)

    users: tuple[AccountName, ...] = Field(
        (),
        description="accounts that are put into the group docker, which makes them as "
        "mighty as root",
        examples=[["chronos"]],
    )
    package: PackageName = Field(
        "docker.io", description="the package to install", examples=["docker.io"]
    )

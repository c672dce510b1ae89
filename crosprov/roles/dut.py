"""The role `dut`: a device under test, running ChromiumOS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from crosprov.inventory.fields import (
    HostRef,
    Kind,
    PlainName,
    SettingKey,
    SettingValue,
    refusal,
)
from crosprov.roles.role import RoleSettings


def _label(value: str) -> str:
    steps = value.split("/")
    if not all(steps) or any(sign.isspace() for sign in value) or ".." in steps:
        raise refusal("must be the path of a build", "write board-release/R120-15662.0.0")
    return value


Label = Annotated[str, AfterValidator(_label), Kind("path of a build")]


class Settings(RoleSettings):
    """A device under test. It plays no other role: its root is read-only."""

    alone: ClassVar[bool] = True

    board: PlainName = Field(description="the board that its image is for", examples=["eve"])
    dev_server: Annotated[str, HostRef("dev_server")] | None = Field(
        None, description="the host that it gets updates from", examples=["dev1"]
    )
    label: Label | None = Field(
        None,
        description="pins a build: updates come from /update/LABEL of the dev server",
        examples=["eve-release/R120-15662.0.0"],
    )
    lsb_release: Mapping[SettingKey, SettingValue | None] = Field(
        {},
        description="further lines of the stateful lsb-release; null means that the key "
        "must be absent",
        examples=[{"CHROMEOS_RELEASE_TRACK": "testimage-channel"}],
    )

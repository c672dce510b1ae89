"""What every section of an inventory is: strict, frozen, without unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Hold one mapping of the inventory. Nothing is converted: 8080 is a number, "8080" is not."""

    former: ClassVar[Mapping[str, str]] = {}
    """What says by now what a key said that is gone, by that key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

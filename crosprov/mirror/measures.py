"""What is said of a mirror's protection, one measure at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "weak", "set", "told", "unseen"]


@dataclass(frozen=True, slots=True)
class Measure:
    """Say how one thing stands that keeps a mirror's files from being changed or lost.

    `good` and `weak` judge it, `set` was weak and is good now, `told` is worth knowing,
    `unseen` cannot be seen from here. `settable` says that crosprov can set what is weak.
    """

    subject: str
    state: State
    sentence: str
    hint: str | None = None
    settable: bool = False

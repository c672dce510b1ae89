"""What a command gives back, and how its words are written: text, hints, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from crosprov.mirror.events import Events
from crosprov.mirror.model import Fault, Place, Remark
from crosprov.mirror.selection import Inventories

FAULT = 1  # exit status: it cannot be done
LACKING = 2  # exit status: findings, or files that are lacking

Tell = Callable[[str], object]
Watch = Callable[[Tell | None], AbstractContextManager[Events]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes to standard output, and the exit status."""

    text: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What a command has beside its words.

    `say` is for what a person should know on the way, `watch` shows the events of a block and
    gives its words to a function, too.
    """

    inventories: Inventories | None
    say: Tell
    watch: Watch


def say_fault(say: Tell, fault: Fault) -> None:
    """Say what a person must mend, and how."""
    say(f"error: {fault}")
    if fault.hint:
        say(f"hint: {fault.hint}")


def note(remark: Remark) -> str:
    """Write a remark as it is said on the way."""
    where = f"{remark.place}: " if remark.place else ""
    return f"note: {where}{remark.sentence}"


def with_hint(sentence: str, hint: str | None) -> str:
    """Write a sentence, with its hint below it."""
    return f"{sentence}\n    {hint}\n" if hint else f"{sentence}\n"


def as_json(value: object) -> str:
    """Write what JSON has."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def plain(value: Any) -> Any:
    """Turn structures into what JSON has."""
    if isinstance(value, Place):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = (one for one in type(value).__dataclass_fields__)
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value

"""Colours and marks: only on a terminal, and never the only carrier of meaning."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_CODES = {"green": 32, "yellow": 33, "red": 31, "cyan": 36, "bold": 1, "dim": 2}


@dataclass(frozen=True, slots=True)
class Style:
    """Colour text, or leave it as it is."""

    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        """Colour on a terminal, unless NO_COLOR asks for none; FORCE_COLOR asks for it anyway."""
        if os.environ.get("NO_COLOR"):
            return cls(False)
        return cls(bool(os.environ.get("FORCE_COLOR")) or stream.isatty())

    def paint(self, text: str, colour: str) -> str:
        """Give the text in a colour, or as it is."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.colour and text else text


PLAIN = Style()


def count(number: int, noun: str) -> str:
    """Word a number of things: `1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def about(host: str, message: str) -> str:
    """Put a host before a message about it, once: many messages begin with its name."""
    told = message.removesuffix(".")
    return told if told.startswith((f"{host} ", f"{host}:")) else f"{host}: {told}"


def columns(facts: Mapping[str, str]) -> list[str]:
    """Word facts one to a line, their values below each other."""
    width = max((len(name) for name in facts), default=0)
    return [f"{name:{width}}  {value}".rstrip() for name, value in facts.items()]


def duration(seconds: float) -> str:
    """Word a time: `0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def seconds(number: float) -> str:
    """Word a limit or a waiting time in whole seconds."""
    return f"{number:.0f} s"


def names(hosts: list[str], limit: int = 6) -> str:
    """Word a list of hosts, long ones by their ends."""
    if len(hosts) <= limit:
        return ", ".join(hosts)
    return f"{', '.join(hosts[: limit - 2])}, … {hosts[-1]} ({len(hosts)} hosts)"

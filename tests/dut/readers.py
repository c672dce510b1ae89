"""Readers of lsb-release as the tools of a DUT are: written apart from what is tested."""

from __future__ import annotations

import re

SPACE = " \t\n\v\f\r"


def update_engine(content: bytes) -> dict[str, str]:
    """The last line of a key counts; a line that is none ends it; a backslash joins lines."""
    found: dict[str, str] = {}
    waiting = content.decode("latin-1").split("\n")
    while waiting:
        line = waiting.pop(0).lstrip(SPACE)
        if line == "" or line[0] == "#":
            continue
        place = line.find("=")
        if place < 0:
            return found
        name = line[:place].rstrip(SPACE)
        if name == "":
            return found
        value = line[place + 1 :]
        while value != "" and value[-1] == "\\":
            if not waiting or waiting[0] == "":
                return found
            value = value[:-1] + waiting.pop(0)
        found[name] = value
    return found


def first_wins(content: bytes) -> dict[str, str]:
    """What `grep -m 1 ^KEY= | cut -d = -f 2-` gives for each key."""
    found: dict[str, str] = {}
    for line in content.decode("latin-1").split("\n"):
        matched = re.match(r"([^=]+)=(.*)", line, re.DOTALL)
        if matched:
            found.setdefault(matched[1], matched[2])
    return found


def every(content: bytes, key: str) -> list[str]:
    """What `grep ^KEY=` gives: all lines."""
    return [x for x in content.decode("latin-1").split("\n") if x.startswith(f"{key}=")]

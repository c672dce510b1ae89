"""Read what Python's optparse prints for `--help`: which options a program knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# optparse indents an option by two columns, four in a group; help that is wrapped stands far right.
_LINE = re.compile(r" {2,4}(?P<spellings>-[^ ].*?)(?: {2,}(?P<help>.*))?")
_SPELLING = re.compile(r"(?P<name>--?[A-Za-z0-9][\w-]*)(?P<value>[= ][^ ].*)?")
_HELP_COLUMN = 12  # wrapped help begins at column 24, or less far right on a narrow terminal
_DEPRECATED = re.compile(r"\bdeprecated\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """What a help text says of one option."""

    takes_value: bool
    help: str = ""

    @property
    def deprecated(self) -> bool:
        """Tell whether its own help calls it deprecated."""
        return _DEPRECATED.search(self.help) is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """The options that a program knows, by each of their spellings."""

    options: Mapping[str, Known] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.options)


def parse_usage(text: str) -> Usage:
    """Read the options out of a help text; what is no option is passed over.

    A text without `-h, --help` in a list of options is none of optparse, and gives an empty
    Usage: nothing can be concluded from it.
    """
    found: dict[str, Known] = {}
    spellings: list[str] = []
    listing = False
    for line in text.expandtabs().splitlines():
        if not line.startswith(" "):
            listing = listing or line.strip().lower() in ("options:", "optional arguments:")
            spellings = []
        elif not listing:
            continue
        elif (match := _LINE.fullmatch(line)) and (names := _names(match["spellings"])):
            spellings = list(names)
            found |= {name: Known(value, match["help"] or "") for name, value in names.items()}
        elif spellings and line.startswith(" " * _HELP_COLUMN):
            for name in spellings:
                seen = found[name]
                found[name] = Known(seen.takes_value, f"{seen.help} {line.strip()}".strip())
        else:
            spellings = []
    return Usage(found) if "--help" in found else Usage()


def _names(spellings: str) -> dict[str, bool]:
    """Take `-u URL, --urlbase=URL` apart; empty when a part of it is no option."""
    names: dict[str, str | None] = {}
    for part in spellings.split(", "):
        match = _SPELLING.fullmatch(part.strip())
        if match is None:
            return {}
        names[match["name"]] = match["value"]
    takes_value = any(value is not None for value in names.values())
    return dict.fromkeys(names, takes_value)

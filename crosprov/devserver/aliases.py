"""xBuddy's configuration: short names of paths, and what a shadow file changes of them."""

from __future__ import annotations

from collections.abc import Iterable
from configparser import ConfigParser
from configparser import Error as WrongSyntax
from dataclasses import dataclass, field
from pathlib import Path

from crosprov.devserver.failures import Refused

LARGEST = 1024 * 1024  # bytes of a configuration
SHADOW = "shadow_xbuddy_config.ini"
SECTIONS = ("GENERAL", "PATH_REWRITES", "LOCATION_SUFFIXES")

# The names that the ChromiumOS dev server ships (chromite's xbuddy_config.ini of 2022).
SHIPPED = {
    "update": "local/BOARD/latest/full_payload",
    "ld": "local/BOARD/latest/dev",
    "stable_update": "remote/BOARD/latest-stable/full_payload",
    "beta_update": "remote/BOARD/latest-beta/full_payload",
    "dev_update": "remote/BOARD/latest-dev/full_payload",
    "canary": "remote/BOARD/latest-canary/test",
    "release": "remote/BOARD/latest-official/test",
    "paladin": "remote/BOARD/latest-official-paladin/test",
}


@dataclass(frozen=True, slots=True)
class Aliases:
    """Short names of paths, suffixes of boards by short name, and the number of builds to keep."""

    paths: dict[str, str] = field(default_factory=lambda: dict(SHIPPED))
    suffixes: dict[str, str] = field(default_factory=dict)
    capacity: int | None = None

    def expand(self, path: str, board: str) -> tuple[str, str]:
        """Replace a short name at the end of a path; gives the path and the suffix of the board.

        What stands before the name is the board, and behind that the version.
        """
        *before, name = path.split("/")
        if name not in self.paths or len(before) > 2:
            return path, "-release"
        words = {"BOARD": before[0] if before else board, "VERSION": "".join(before[1:])}
        parts = self.paths[name].split("/")
        if "BOARD" in parts and not words["BOARD"]:
            raise Refused(400, f"the path {name!r} needs a board: <board>/{name}, or --board")
        found = [words.get(part, part) for part in parts]
        return "/".join(part for part in found if part), self.suffixes.get(name, "-release")


def read_aliases(shadow: Path | None) -> Aliases:
    """Read a shadow configuration; its keys win one by one over the shipped ones.

    Raises Refused(500) with the file's name when it cannot be read or holds what means nothing.
    """
    if shadow is None:
        return Aliases()
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with shadow.open(encoding="utf-8") as file:
            parser.read_string(file.read(LARGEST))
    except OSError as error:
        raise Refused(500, f"{shadow} cannot be read: {error.strerror}") from None
    except (WrongSyntax, UnicodeError) as error:
        said = " ".join(str(error).split())
        raise Refused(500, f"{shadow} is not a configuration: {said}") from None
    _check(shadow, parser.sections())
    sections = {name: dict(parser[name]) for name in parser.sections()}
    capacity = sections.get("GENERAL", {}).get("capacity")
    if capacity is not None and not capacity.isdecimal():
        raise Refused(500, f"{shadow}: the capacity {capacity!r} is not a number")
    return Aliases(
        {**SHIPPED, **sections.get("PATH_REWRITES", {})},
        sections.get("LOCATION_SUFFIXES", {}),
        None if capacity is None else int(capacity),
    )


def _check(shadow: Path, sections: Iterable[str]) -> None:
    for name in sections:
        if name not in SECTIONS:
            raise Refused(
                500, f"{shadow}: there is no section {name}; known: {', '.join(SECTIONS)}"
            )

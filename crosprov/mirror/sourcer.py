"""Source ebuilds with pkgcore, in a process of its own: `python -m crosprov.mirror.sourcer FILE`.

FILE is JSON: the folders of a tree and of its masters, and the ebuilds to source as
`[category, package, version]`. For each, in order, one line of JSON goes to standard output:
`{"eapi", "src_uri", "restrict", "inherited"}`, the last of which lists eclasses, or `{"failure"}`
with the reason in a few words.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Source what the file names; whatever the ebuilds print goes where errors go."""
    with open(sys.argv[1], encoding="utf-8") as request:
        asked = json.load(request)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        _answer(asked["folders"], asked["ebuilds"], answers)
    finally:
        _end_pkgcore()
    return 0


def _answer(folders: Sequence[str], ebuilds: Sequence[Sequence[str]], answers: TextIO) -> None:
    from pkgcore.exceptions import PkgcoreException

    failure = None
    try:
        package = _opener(folders)
    except (PkgcoreException, OSError, UnicodeDecodeError) as error:
        failure = {"failure": _brief(error)}
    for category, name, version in ebuilds:
        answer = failure or _sourced(package, category, name, version)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _opener(folders: Sequence[str]) -> Callable[[str, str, str], Any]:
    """Open the tree so that its eclasses come before its masters', as Portage has it."""
    from pkgcore.ebuild import eclass_cache
    from pkgcore.ebuild.repository import UnconfiguredTree

    caches = [eclass_cache.cache(f"{folder}/eclass", location=folder) for folder in folders]
    eclasses = eclass_cache.StackedCaches(caches) if len(caches) > 1 else caches[0]
    tree = UnconfiguredTree(folders[0], eclass_cache=eclasses)
    opener: Callable[[str, str, str], Any] = tree.package_class
    return opener


def _sourced(
    package: Callable[[str, str, str], Any], category: str, name: str, version: str
) -> dict[str, str | list[str]]:
    from pkgcore.exceptions import PkgcoreException

    try:
        ebuild = package(category, name, version)
        data = ebuild.data
        eapi = str(ebuild.eapi)
        if not ebuild.eapi.is_supported:
            return {"failure": f"its EAPI {eapi} is not known here"}
    except (PkgcoreException, OSError, UnicodeDecodeError) as error:
        return {"failure": _brief(error)}
    return {
        "eapi": eapi,
        "src_uri": data.get("SRC_URI", ""),
        "restrict": data.get("RESTRICT", ""),
        "inherited": list(data.get("_eclasses_", ())),
    }


def _brief(error: Exception) -> str:
    """Take the lines of an error that say something, in one line; pkgcore keeps some apart."""
    said = str(getattr(error, "verbose", None) or error)
    lines = [_COLOURS.sub("", line).strip(" *\t") for line in said.splitlines()]
    return "; ".join(line for line in lines if line)[:300] or type(error).__name__


def _end_pkgcore() -> None:
    """End the shells that pkgcore keeps, or it prints a traceback when the interpreter ends."""
    from pkgcore.ebuild import processor

    processor.shutdown_all_processors()


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])] if not __package__ else []
    sys.exit(main())

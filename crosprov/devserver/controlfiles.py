"""Control files of autotest in a staged build: which there are, and what stands in them."""

from __future__ import annotations

import ast
import os
import re

from crosprov.devserver.builds import folder_of
from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout
from crosprov.devserver.static import open_file

SUITES = "test_suites/suite_to_control_file_map"
CONTROL = re.compile(r"control(\..+)?")
LARGEST = 4 * 1024 * 1024  # bytes of one file that is read whole


def names(layout: Layout, build: str, suite: str = "") -> list[str]:
    """List control files as paths below autotest/, all or those of a suite.

    Raises Refused 404 where the build has none staged, or the suite is unknown.
    """
    if suite:
        suites = _suites(layout, build)
        if suite not in suites:
            raise Refused(404, f"{build} has no suite {suite}")
        return suites[suite]
    folder = folder_of(layout, build) / "autotest"
    if not folder.is_dir():
        raise Refused(404, f"the control files of {build} are not staged: stage control_files")
    return sorted(
        os.path.relpath(os.path.join(above, name), folder)
        for above, _, found in os.walk(folder)
        for name in found
        if CONTROL.fullmatch(name)
    )


def body(layout: Layout, build: str, path: str) -> str | None:
    """Read one control file, None when there is none at that path."""
    try:
        return _text(layout, build, path.lstrip("/"))
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def bodies(layout: Layout, build: str, suite: str) -> dict[str, str]:
    """Read all control files of a suite: path -> text. Files that are not there are left out."""
    found = ((path, body(layout, build, path)) for path in names(layout, build, suite))
    return {path: text for path, text in found if text is not None}


def _suites(layout: Layout, build: str) -> dict[str, list[str]]:
    """Read the map of suites, which is the text of a Python dict."""
    try:
        text = _text(layout, build, SUITES)
    except Refused as refused:
        raise Refused(refused.status, f"{build} has no map of suites: stage test_suites") from None
    try:
        value = ast.literal_eval(text)
        return {str(name): [str(path) for path in paths] for name, paths in value.items()}
    except (ValueError, SyntaxError, MemoryError, RecursionError, AttributeError, TypeError):
        raise Refused(500, f"autotest/{SUITES} of {build} is not the map of suites") from None


def _text(layout: Layout, build: str, path: str) -> str:
    layout.folder(build)
    file = open_file(layout.inside(f"{build}/autotest/{path}"))
    try:
        if file.status.st_size > LARGEST:
            raise Refused(500, f"autotest/{path} of {build} is too large to be a control file")
        return os.pread(file.number, LARGEST, 0).decode("utf-8", "replace")
    finally:
        file.close()

"""Import the modules of roles; a mistake in one of them is said in a sentence."""

from __future__ import annotations

import traceback
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from crosprov.errors import CrosprovError


def load(name: str, path: str) -> ModuleType:
    """Import a module of a role; `path` is its file as its author knows it.

    Raises CrosprovError when that fails, with the line of the file that was reached.
    """
    try:
        return import_module(name)
    except Exception as error:
        line = _line(error, name)
        raise CrosprovError(
            f"{path} cannot be imported: {_said(error)}" + (f" (line {line})" if line else ""),
            hint="mend or remove the file; as it is, no plan can be made",
        ) from error


def _said(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: Exception, name: str) -> int | None:
    """Give the line of the module itself; what it imports may have failed deeper down."""
    found = find_spec(name)
    file = found.origin if found else None
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return lines[-1] if lines else None

"""The dev server that crosprov installs on a dev host: one file, which runs by itself."""

from __future__ import annotations

from importlib.resources import files


def source() -> bytes:
    """Read the program's text, as it is uploaded to a dev host."""
    return files(__name__).joinpath("server.py").read_bytes()

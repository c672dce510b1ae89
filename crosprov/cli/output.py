"""Where a command's answer goes: stdout or a file."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from crosprov.errors import UsageError


def deliver(text: str, out: Path | None) -> None:
    """Print a text that ends with a line break, or write it to a file.

    Raises UsageError when the file cannot be written.
    """
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def as_json(value: object) -> str:
    """Render JSON for programs that people also read."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

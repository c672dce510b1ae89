"""The project's own files, as a clone has them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What .gitignore leaves out.
_MADE = (
    *(".git", ".venv", "__pycache__", "build", "dist", ".pytest_cache", ".mypy_cache"),
    *(".ruff_cache", ".hypothesis", "*.egg-info", "factory-server-demo"),
)


def project_files(root: Path = ROOT) -> Iterator[Path]:
    """Give every file of the project or of a copy, relative to its root."""
    ignored = shutil.ignore_patterns(*_MADE)
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        names = [path.name for path in folder.iterdir()]
        for name in sorted(set(names) - ignored(str(folder), names)):
            path = folder / name
            if path.is_dir():
                waiting.append(path)
            else:
                yield path.relative_to(root)


def copy_project(to: Path) -> Path:
    """Copy the project as a clone would have it."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*_MADE))
    return to

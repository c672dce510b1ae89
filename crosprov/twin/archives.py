"""The packages that twins downloaded, kept for the twins to come.

Each twin has a directory of links rather than the shared one: apt locks the directory, and
two twins would refuse to install at the same time.
"""

from __future__ import annotations

import os
from pathlib import Path


def share(source: Path, target: Path) -> None:
    """Link the packages of one directory into another that lacks them."""
    if not (source.is_dir() and target.is_dir()):
        return
    have = set(os.listdir(target))
    for package in source.glob("*.deb"):
        if package.name not in have:
            try:
                os.link(package, target / package.name)
            except FileExistsError:  # another lab was faster
                continue

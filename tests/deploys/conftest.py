"""No test of the deploys fetches packages: the wheelhouse is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov import wheelhouse
from crosprov.wheelhouse import Archive
from crosprov.wheels import Program


@pytest.fixture(autouse=True)
def _no_packages_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def archive(program: Program, folder: Path | None = None) -> Archive:
        return Archive("/cache/wheelhouse.tar", 10_240, "0" * 64)

    monkeypatch.setattr(wheelhouse, "archive", archive)

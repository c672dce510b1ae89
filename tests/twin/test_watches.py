"""The limit of file watches is raised for many twins, and never lowered."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.twin.watches import ENOUGH, make_room


@pytest.mark.parametrize(
    ("before", "after"),
    [("128\n", f"{ENOUGH}\n"), ("524288\n", "524288\n"), ("odd\n", "odd\n")],
)
def test_the_limit_is_raised_only(tmp_path: Path, before: str, after: str) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(before)
    make_room(limit)
    assert limit.read_text() == after


def test_a_kernel_without_the_limit_is_left_alone(tmp_path: Path) -> None:
    make_room(tmp_path / "missing")
    assert not list(tmp_path.iterdir())

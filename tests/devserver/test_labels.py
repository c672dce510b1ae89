"""The order of builds, and whose they are."""

from __future__ import annotations

import pytest

from crosprov.devserver.labels import begins_with, is_of_board, newest_first

ORDERED = [
    "eve-release/R121-15700.10.0",
    "eve-release/R121-15700.9.0",
    "eve-release/R120-15662.0.0-rc10",
    "eve-release/R120-15662.0.0-rc3",
    "eve-release/R120-15662.0.0",
    "eve-release/15661.0.0",
    "eve-release/latest-of-mine",
]


def test_builds_are_ordered_by_their_numbers() -> None:
    assert newest_first(sorted(ORDERED)) == ORDERED
    assert newest_first(reversed(ORDERED)) == ORDERED


@pytest.mark.parametrize(
    ("build", "board", "expected"),
    [
        ("eve-release/R1-1.0.0", "eve", True),
        ("eve/R1-1.0.0", "eve", True),
        ("eve-arc-release/R1-1.0.0", "eve", False),
        ("eve-arc-release/R1-1.0.0", "eve-arc", True),
        ("everest-release/R1-1.0.0", "eve", False),
        ("R1-1.0.0", "eve", False),
        ("eve-release/R1-1.0.0", "", False),
    ],
)
def test_a_build_belongs_to_a_board(build: str, board: str, expected: bool) -> None:
    assert is_of_board(build, board) is expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("eve-release", True),
        ("eve-release/R120", True),
        ("eve-release/R120-15662", True),
        ("eve-release/R12", False),
        ("eve-release/R120-15662.0.0", False),  # a whole build is the beginning of no other
        ("eve-rel", False),
    ],
)
def test_a_label_is_the_beginning_of_a_build(label: str, expected: bool) -> None:
    assert begins_with("eve-release/R120-15662.0.0-b7", label) is expected

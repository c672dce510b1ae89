"""No file of the project speaks of one machine, or of one place to fetch packages from."""

from __future__ import annotations

import sys

import pytest

from tests.packaging.tree import ROOT, project_files

# Written in pieces, so that this file may be looked at, too.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"),
        ("security", "debian", "org"), ("archive", "ubuntu", "com"), ("ports", "ubuntu", "com"),
        ("registry-1", "docker", "io"), ("hub", "docker", "com"), ("ghcr", "io"), ("quay", "io"),
        ("npmjs", "org"), ("proxy", "golang", "org"),
    )
]  # fmt: skip
PLACES = ["/".join(("", "work", "")), f"{ROOT}/", f"{sys.prefix}/"]
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(REGISTRIES, id="registries"),
        pytest.param(PLACES, id="places"),
        pytest.param(UNFINISHED, id="unfinished"),
    ],
)
def test_no_file_says(words: list[str]) -> None:
    found = [
        f"{path}: {word}"
        for path in project_files()
        for word in words
        if word.encode() in (ROOT / path).read_bytes()
    ]
    assert found == []


def test_there_are_files() -> None:
    assert {"README.md", "LICENSE", "pyproject.toml"} <= {str(path) for path in project_files()}

"""What is imported is what is declared."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.packaging.test_distributions import SETTINGS
from tests.packaging.tree import ROOT, project_files

OURS = {"crosprov", "deploys", "templates", "tests", "bench"}
# Pydantic's documented way to word an error of one's own is a class of its core, which it brings
# in exactly one version.
BROUGHT = {"pydantic_core": "pydantic"}
RUN = SETTINGS["project"]["dependencies"]
TEST = SETTINGS["project"]["optional-dependencies"]["test"]
DEVSERVER = SETTINGS["project"]["optional-dependencies"]["devserver"]
MIRROR = SETTINGS["project"]["optional-dependencies"]["mirror"]
# What needs an extra, and says so when it is missing.
APART = ("crosprov/devserver", "crosprov/mirror", "crosprov/cli/devserver.py")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", line)[0].lower() for line in requirements}


def sources(*folders: str) -> Iterator[Path]:
    """Give the Python files below some folders, without those of a folder within that follows."""
    inside, outside = folders[0], folders[1:]
    for path in project_files():
        if path.suffix == ".py" and path.is_relative_to(inside):
            if not any(path.is_relative_to(folder) for folder in outside):
                yield path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def distributions_of(module: str) -> set[str]:
    """Name what brings a module; a namespace like that of ruamel has several that may."""
    top = module.split(".")[0]
    if top in BROUGHT:
        return {BROUGHT[top]}
    return {name.lower() for name in packages_distributions().get(top, [top])}


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        pytest.param(sources("crosprov", *APART), names(RUN), id="run"),
        pytest.param(sources("deploys"), names(RUN), id="deploys"),
        pytest.param(sources("templates"), names(RUN), id="templates"),
        pytest.param(sources("crosprov/devserver"), names(DEVSERVER), id="devserver"),
        pytest.param(sources("crosprov/cli/devserver.py"), names(RUN + DEVSERVER), id="command"),
        pytest.param(sources("crosprov/mirror"), names(MIRROR), id="mirror"),
        pytest.param(sources("tests"), names(RUN + DEVSERVER + MIRROR + TEST), id="test"),
    ],
)
def test_every_import_is_declared(files: Iterator[Path], allowed: set[str]) -> None:
    undeclared = {
        f"{path}: {module}"
        for path in files
        for module in imported(path)
        if module.split(".")[0] not in OURS | set(sys.stdlib_module_names)
        and not distributions_of(module) & allowed
    }
    assert undeclared == set()


@pytest.mark.parametrize("package", ["devserver", "mirror"])
def test_what_runs_on_hosts_needs_nothing_else_of_crosprov(package: str) -> None:
    """It runs on a host from an environment that holds only its own package."""
    foreign = {
        f"{path}: {module}"
        for path in sources(f"crosprov/{package}")
        for module in imported(path)
        if module.split(".")[0] in OURS and not module.startswith(f"crosprov.{package}")
    }
    assert foreign == set()


def test_every_dependency_is_explained() -> None:
    decisions = (ROOT / "docs/decisions.md").read_text()
    first = re.findall(r"^\| ([\w., -]+) \|", decisions, re.M)
    explained = {name for cell in first for name in cell.split(", ")}
    assert names(RUN + DEVSERVER + MIRROR) - explained == set()

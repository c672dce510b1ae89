"""What the sdist and the wheel hold."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.conftest import Distributions
from tests.packaging.tree import ROOT, project_files

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAPPED = SETTINGS["tool"]["setuptools"]["package-dir"]


def shipped(root: Path = ROOT) -> dict[str, Path]:
    """Map the name in the wheel to the file of the project, for all that must be there."""
    found = {}
    for path in project_files(root):
        top, *rest = path.parts
        package = next((name for name, folder in MAPPED.items() if folder == top), None)
        if package or top == "crosprov":
            found["/".join([*(package or top).split("."), *rest])] = path
    return found


def test_the_list_of_packages_is_the_tree() -> None:
    in_tree = {
        ".".join(PurePosixPath(name).parent.parts)
        for name in shipped()
        if name.endswith("/__init__.py")
    }
    assert sorted(SETTINGS["tool"]["setuptools"]["packages"]) == sorted(in_tree)


def test_the_wheel_holds_every_file_and_nothing_else(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        files = shipped(distributions.source)
        assert names == set(files)
        for name, path in files.items():
            assert wheel.read(name) == (distributions.source / path).read_bytes(), name


@pytest.mark.parametrize(
    "name",
    [
        "crosprov/py.typed",
        "crosprov/inventory/starter.yml",
        "crosprov/twin/dut/initctl",
        "crosprov/deploys/common.py",
        "crosprov/templates/mirror/site.conf.j2",
    ],
)
def test_the_wheel_holds_what_is_no_module(distributions: Distributions, name: str) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        assert name in wheel.namelist()


def test_the_wheel_has_the_licence_and_the_program(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        about = {name.partition(".dist-info/")[2]: name for name in wheel.namelist()}
        assert wheel.read(about["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
        assert b"crosprov = crosprov.cli:main" in wheel.read(about["entry_points.txt"])
        assert b"License-Expression: Apache-2.0" in wheel.read(about["METADATA"])


def test_the_sdist_is_the_whole_project(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    files = project_files(distributions.source)
    wanted = {str(path) for path in files if path.parts[0] not in (".ci", ".gitignore")}
    assert wanted - names == set()
    assert not [name for name in names if name.endswith((".pyc", ".tar"))]


def test_the_scripts_of_the_sdist_can_be_run(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        scripts = [m for m in sdist.getmembers() if m.isfile() and "/scripts/" in m.name]
    assert scripts and all(member.mode & 0o111 for member in scripts)

"""Deploys are found by their files, and templates are rendered strictly."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

from crosprov import roles
from crosprov.deploying import find
from crosprov.errors import CrosprovError, PlanError
from crosprov.templating import nginx_word, render, render_file, systemd_argument, systemd_word
from tests.deploys import labs
from tests.inventory.labs import ROOT

PACKAGE: ModuleType = importlib.import_module("crosprov.deploys")
TEMPLATES = files("crosprov.templates")


def test_every_role_has_a_deploy_and_every_deploy_a_role() -> None:
    modules = {info.name: importlib.import_module(f"crosprov.deploys.{info.name}") for info in
               iter_modules(PACKAGE.__path__)}  # fmt: skip
    # A module without a deploy is a part of another one's.
    deploys = {name for name, module in modules.items() if hasattr(module, "deploy")}
    assert deploys == set(roles.available())


@pytest.mark.parametrize("role", sorted(roles.available()))
def test_a_deploy_is_a_pyinfra_deploy(role: str) -> None:
    assert getattr(find(role), "_inner", None) is not None


@pytest.mark.parametrize(
    ("name", "state_dir"),
    [("mirror1", "/var/lib/crosprov"), ("dut01", "/mnt/stateful_partition/crosprov")],
)
def test_a_host_keeps_its_records_where_it_may_write(
    tmp_path: Path, name: str, state_dir: str
) -> None:
    assert labs.model(labs.read(tmp_path), name).state_dir == state_dir


def test_the_roles_of_a_host_are_applied_in_their_order(tmp_path: Path) -> None:
    assert labs.model(labs.read(tmp_path), "factory1").roles == ("docker", "factory_server")


@pytest.fixture
def more_deploys(tmp_path: Path) -> Iterator[Path]:
    """Give a folder whose modules are deploys too."""
    PACKAGE.__path__.append(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    PACKAGE.__path__.remove(str(tmp_path))
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_a_new_file_is_a_new_deploy(more_deploys: Path) -> None:
    (more_deploys / "kettle.py").write_text("def deploy(lab, host):\n    return 'tea'\n")
    assert find("kettle") is getattr(sys.modules["crosprov.deploys.kettle"], "deploy", None)


def test_a_role_without_a_deploy_is_a_sentence(more_deploys: Path) -> None:
    with pytest.raises(PlanError, match="the role teapot has no deploy"):
        find("teapot")
    (more_deploys / "empty.py").touch()
    with pytest.raises(PlanError, match="defines no function deploy"):
        find("empty")


MISTAKES = [
    (
        "\nimport no_such_module_anywhere\n",
        "ModuleNotFoundError: No module named 'no_such_module_anywhere' (line 2)",
    ),
    ("def deploy(:\n", "SyntaxError: invalid syntax (line 1)"),
    ("import json\n\njson.loads('{')\n", "(line 3)"),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_a_deploy_with_a_mistake_is_a_sentence(more_deploys: Path, text: str, words: str) -> None:
    (more_deploys / "broken.py").write_text(text)
    with pytest.raises(CrosprovError) as caught:
        find("broken")
    assert caught.value.message.startswith("deploys/broken.py cannot be imported: ")
    assert caught.value.message.endswith(words)


@pytest.fixture
def more_roles(tmp_path: Path) -> Iterator[Path]:
    """Give a folder crosprov/roles whose modules are roles too."""
    folder = tmp_path / "crosprov/roles"
    folder.mkdir(parents=True)
    roles.__path__.append(str(folder))
    roles.available.cache_clear()
    known = set(sys.modules)
    yield folder
    roles.__path__.remove(str(folder))
    roles.available.cache_clear()
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_a_role_with_a_mistake_is_a_sentence(more_roles: Path, text: str, words: str) -> None:
    (more_roles / "kettle.py").write_text(text)
    with pytest.raises(CrosprovError) as caught:
        roles.available()
    assert caught.value.message.startswith("crosprov/roles/kettle.py cannot be imported: ")
    assert caught.value.message.endswith(words)


def test_a_missing_template_is_a_sentence() -> None:
    with pytest.raises(PlanError, match="there is no template mirror/none.j2"):
        render("mirror/none.j2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n{{ missing }}", "t.j2:2: the template cannot be rendered: 'missing' is undefined"),
        ("{{ given.missing }}", "t.j2:1: the template cannot be rendered"),
        ("\n\n{% if %}", "t.j2:3: the template is wrong"),
        ("{% include 'none.j2' %}", "there is no template none.j2"),
        ("{{ given + 1 }}", "t.j2:1: the template failed"),
        ("{{ 1 // 0 }}", "t.j2:1: the template failed"),
    ],
)
def test_a_template_that_fails_names_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.j2"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        render_file(path, given="text")
    assert words in caught.value.message


def test_a_template_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="is not UTF-8"):
        render_file(tmp_path / "t.j2")


def test_every_template_is_installed() -> None:
    written = _templates(ROOT / "templates")
    assert _templates(Path(str(TEMPLATES))) == written
    assert [name for name in written if not name.endswith(".j2")] == []  # only these are shipped


def _templates(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(p.relative_to(folder)) for p in files if p.suffix not in (".py", ".pyc"))


@pytest.mark.parametrize(
    ("value", "unit", "argument", "nginx"),
    [
        ("/srv/x", '"/srv/x"', '"/srv/x"', '"/srv/x"'),
        ('a "b" \\', '"a \\"b\\" \\\\"', '"a \\"b\\" \\\\"', '"a \\"b\\" \\\\"'),
        ("50%", '"50%%"', '"50%%"', '"50%"'),
        ("$HOME", '"$HOME"', '"$$HOME"', None),
    ],
)
def test_words_are_quoted_for_their_reader(
    value: str, unit: str, argument: str, nginx: str | None
) -> None:
    assert (systemd_word(value), systemd_argument(value)) == (unit, argument)
    if nginx is None:
        with pytest.raises(PlanError):
            nginx_word(value)
    else:
        assert nginx_word(value) == nginx

"""Secrets that cannot be read are told where they are asked for, all at once, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.errors import InventoryError
from crosprov.inventory.load import read_lab
from crosprov.inventory.secret_places import check_secrets
from crosprov.secrets import Vault

LAB = """\
lab: l
hosts:
  f:
    factory_server:
      admin_password: {env: CROSPROV_TEST_EMPTY}
      overlord: {password: {file: gone}}
  d:
    common:
      files:
        /etc/one: {mode: "0600", content: {command: "echo >> calls; echo x"}}
        /etc/two: {mode: "0600", content: {command: "echo >> calls; echo x"}}
        /etc/three: {content: plain}
"""


def told(folder: Path, *hosts: str) -> list[str]:
    lab = read_lab(LAB, folder / "lab.yml")
    try:
        check_secrets(lab, hosts, Vault())
    except InventoryError as error:
        return [str(problem).removeprefix(f"{folder}/lab.yml:") for problem in error.problems]
    return []


def test_each_one_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSPROV_TEST_EMPTY", "")
    assert told(tmp_path, "f", "d") == [
        "5:23: host f: factory_server.admin_password: the secret from env CROSPROV_TEST_EMPTY is "
        "empty",
        f"6:28: host f: factory_server.overlord.password: the secret's file {tmp_path}/gone "
        "cannot be read: No such file or directory",
    ]


def test_a_source_is_asked_once_and_only_for_the_hosts_that_are_chosen(tmp_path: Path) -> None:
    assert told(tmp_path, "d") == []
    assert (tmp_path / "calls").read_text() == "\n"


def test_every_problem_has_a_hint(tmp_path: Path) -> None:
    lab = read_lab(LAB, tmp_path / "lab.yml")
    with pytest.raises(InventoryError) as caught:
        check_secrets(lab, lab.hosts, Vault())
    assert all(problem.hint for problem in caught.value.problems)

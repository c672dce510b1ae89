"""An inventory of mirrors without hosts: enough for `crosprov mirror`, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crosprov.cli.app import run as crosprov
from tests.mirror.overlays import write_tree


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    tree = write_tree(tmp_path / "tree", {"foo-1.tar.gz": b"foo"})
    upstream, store = tmp_path / "upstream", tmp_path / "store"
    upstream.mkdir()
    store.mkdir()
    (upstream / "foo-1.tar.gz").write_bytes(b"foo")
    path = tmp_path / "lab.yml"
    path.write_text(
        f"lab: alone\nmirrors:\n  m:\n    kind: automatic\n    upstreams: [{upstream}]\n"
        f"    trees: [{tree}]\n    store: {store}\n"
    )
    return str(path)


def test_its_mirrors_are_synced_verified_and_checked_against(
    tmp_path: Path, lab: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crosprov(["validate", lab]) == 0
    assert capsys.readouterr().out == "alone is sound: 0 hosts and 1 mirror\n"
    check = ["mirror", "check", str(tmp_path / "tree"), "--mirrors-of", lab, "--format", "json"]
    assert crosprov(check) == 2
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["rule"], found["subject"]) == ("unmirrored", "foo-1.tar.gz")
    assert crosprov(["mirror", "sync", lab, "m"]) == 0
    assert (tmp_path / "store" / "foo-1.tar.gz").read_bytes() == b"foo"
    assert crosprov(["mirror", "verify", lab, "m"]) == 0
    capsys.readouterr()
    assert crosprov(check) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


@pytest.mark.parametrize(
    "words",
    [["plan"], ["apply", "--yes"], ["status"], ["graph"], ["rehearse"], ["twin", "up"]],
    ids=" ".join,
)
def test_commands_on_hosts_say_what_is_lacking(
    lab: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert crosprov([*words, lab]) == 64
    told = capsys.readouterr().err
    assert f"{lab} names no host" in told and "hosts: {name: {…}}" in told
    assert "Traceback" not in told


def test_a_choice_of_hosts_is_refused(lab: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert crosprov(["validate", lab, "--limit", "dut1"]) == 64
    assert "names no host" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["lab: l\n", "lab: l\nmirrors: {}\n", "lab: l\nhosts: {}\n"])
def test_neither_hosts_nor_mirrors_are_too_little(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    assert crosprov(["validate", str(path)]) == 1
    assert "hosts: names no host" in capsys.readouterr().err

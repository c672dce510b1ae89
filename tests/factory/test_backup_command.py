"""`crosprov factory backup` and `restore` refuse in one sentence what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.cli.app import run

LAB = """\
lab: test
hosts:
  factory1:
    ssh: {host: 192.0.2.7}
    factory_server: {}
  mirror1:
    ssh: {host: 192.0.2.8}
    common: {}
"""

REFUSED = [
    (("backup", "LAB", "--host", "factory2", "--out", "new.tar"), 64, "has no host factory2"),
    (("backup", "LAB", "--host", "mirror1", "--out", "n.tar"), 64, "mirror1 is no factory server"),
    (("backup", "LAB", "--host", "factory*", "--out", "new.tar"), 64, "has no host factory*"),
    (("backup", "LAB", "--host", "factory1", "--out", "none/new.tar"), 64, "none is no folder"),
    (("backup", "LAB", "--host", "factory1"), 64, "missing option"),
    (("backup", "LAB", "--out", "new.tar"), 64, "missing option"),
    (("restore", "LAB", "lab.yml", "--host", "factory2"), 64, "has no host factory2"),
    (
        ("restore", "LAB", "lab.yml", "--host", "factory1", "--replace", "mirror1"), 64,
        "--replace mirror1 does not confirm --host factory1",
    ),
    (("restore", "LAB", "none.tar", "--host", "factory1"), 1, "none.tar cannot be read"),
    (("restore", "LAB", ".", "--host", "factory1"), 1, ". cannot be read: Is a directory"),
    (("restore", "LAB", "lab.yml", "--host", "factory1"), 1, "lab.yml is not a backup of crosprov"),
    (("backup", "LAB", "--host", "factory1", "--out", "lab.yml"), 64, "lab.yml exists already"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "says"), REFUSED, ids=lambda of: str(of)[:60])
def test_what_cannot_be_is_one_sentence_with_a_hint(
    words: tuple[str, ...],
    status: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No host is asked before all that can be known here is in order."""
    monkeypatch.chdir(tmp_path)
    Path("lab.yml").write_text(LAB)
    assert run(["factory", *(word.replace("LAB", "lab.yml") for word in words)]) == status
    told = capsys.readouterr()
    assert told.out == ""
    error, _, hint = told.err.partition("\n")
    assert error.startswith("error: ") and says in error
    assert hint.startswith("hint: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.yml"]

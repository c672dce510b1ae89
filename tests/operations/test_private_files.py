"""What may be a secret is neither shown in a diff nor copied beside its target."""

from __future__ import annotations

import pytest

from crosprov.facts.files import Kind, PathState
from crosprov.operations import diff
from crosprov.operations.files import keep_before
from crosprov.secrets import vault


def state(mode: str) -> PathState:
    return PathState(Kind.FILE, mode, "root", "0", "root", "0", 4, "ab" * 32, b"old\n")


@pytest.mark.parametrize(
    ("mode", "private"), [("0644", False), ("0755", False), ("0640", True), ("0600", True)]
)
def test_a_file_that_not_everybody_may_read_is_private(mode: str, private: bool) -> None:
    assert state(mode).private is private
    assert not PathState(Kind.ABSENT).private


def test_a_private_file_s_old_lines_are_hidden_and_new_ones_shown() -> None:
    text = diff.unified(b"user=a\npw=hidden\n", b"user=a\npw=new\n", private=True)
    assert text is not None
    assert "hidden\n" not in text and "user=a" not in text
    assert f"-{diff.PRIVATE}" in text and "+pw=new" in text


def test_an_old_line_that_only_gets_its_newline_stays_hidden() -> None:
    text = diff.unified(b"pw=old", b"pw=old\nmore=1\n", private=True)
    assert text is not None
    assert "pw=old" not in text and "+more=1" in text


def test_a_digest_of_private_content_is_not_told() -> None:
    assert diff.summary(None, "ab" * 32, 4, private=True) == "4 bytes"
    token = vault.add("hunter2-of-this-test", "env PASSWORD")
    assert diff.holds_secret(f"pw={token}".encode())
    assert not diff.holds_secret(b"pw=none")


def test_files_that_hold_a_secret_are_not_copied() -> None:
    pytest.importorskip("pyinfra")
    assert keep_before("/etc/x", state("0600")) == ""
    assert keep_before("/etc/x", state("0644"), secret=True) == ""

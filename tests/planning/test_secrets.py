"""Secrets: references that lead somewhere or say so, tokens, and masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crosprov.crypt import sha512_crypt
from crosprov.errors import SecretError
from crosprov.operations import diff
from crosprov.secrets import Reference, Vault, fingerprint, resolve, same, vault


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"env": "LAB"}, "from env"),
        ({"file": "pw"}, "from file\nsecond line"),
        ({"command": ["printf", "a b"]}, "a b"),
        ({"command": "echo $((1 + 1))"}, "2"),
    ],
)
def test_a_reference_is_read(tmp_path: Path, reference: Reference, value: str) -> None:
    (tmp_path / "pw").write_text("from file\nsecond line\n")
    assert resolve(reference, tmp_path, {"LAB": "from env"}) == value


def test_a_hash_of_a_secret_is_a_secret_itself(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("a password\n")
    mine, salted = Vault(), {"file": "pw", "salt": "abc"}
    token = mine.token(salted, tmp_path)
    hashed = mine.reveal(token.encode()).decode()
    assert hashed == sha512_crypt("a password", "abc") != mine.token({"file": "pw"}, tmp_path)
    assert mine.mask(f"x:{hashed}") == "x:(secret: file pw)"
    secret = mine.secret(token)
    assert resolve(json.loads(secret.reference), tmp_path) == hashed, "a saved plan finds it again"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"env": "GONE"}, "variable GONE of a secret is not set"),
        ({"env": "EMPTY"}, "from env EMPTY is empty"),
        ({"file": "gone"}, "cannot be read: No such file"),
        ({"file": "binary"}, "it is not text"),
        ({"command": ["false"]}, "command false ended with status 1"),
        ({"command": ["no-such-program", "--password=x"]}, "command no-such-program failed"),
        ({"env": "A", "file": "b"}, "exactly one"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_sentence(
    tmp_path: Path, reference: Reference, words: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match=words):
        resolve(reference, tmp_path, {"EMPTY": ""})


def test_a_token_says_nothing_and_is_stable_within_a_run(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2")
    mine = Vault()
    token = mine.token({"file": "pw"}, tmp_path)
    assert "hunter2" not in token
    assert mine.token({"file": "pw"}, tmp_path) == token
    assert mine.reveal(f"a={token};".encode()) == b"a=hunter2;"
    assert mine.name(f"a={token}") == "a=(secret: file pw)"


def test_each_line_of_a_secret_is_masked() -> None:
    mine = Vault()
    mine.add("-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----", "file key")
    masked = mine.mask("error near `abcdefgh` of -----BEGIN KEY-----")
    assert "abcdefgh" not in masked and "BEGIN" not in masked


def test_a_diff_of_a_secret_shows_neither_the_old_nor_the_new() -> None:
    token = vault.add("new-password", "env PASSWORD")
    text = diff.unified(b"user=a\npw=old-password\nend\n", f"user=a\npw={token}\nend\n".encode())
    assert text is not None
    assert "old-password" not in text and "new-password" not in text
    assert "+pw=(secret: env PASSWORD)" in text


def test_a_fingerprint_knows_its_value_only() -> None:
    salt = "00ff"
    assert same("hunter2", salt, fingerprint("hunter2", salt))
    assert not same("hunter3", salt, fingerprint("hunter2", salt))

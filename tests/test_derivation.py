from __future__ import annotations

import json
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.crypt import sha512_crypt
from crosprov.derivation import bcrypt_salt, derived, other_password, sha512_salt
from crosprov.secrets import HASHED, Vault, resolve

SALT = bcrypt_salt("demo", "factory1", "admin")
OTHER = other_password("overlord", "demo", "factory1", "ovl")


def test_a_hash_is_one_that_bcrypt_knows_and_stays() -> None:
    made = derived("hunter2", SALT)
    assert made == derived("hunter2", [SALT])
    assert made.startswith(SALT) and len(made) == 60
    assert bcrypt.checkpw(b"hunter2", made.encode())
    assert not bcrypt.checkpw(b"hunter3", made.encode())


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True))
def test_names_make_a_salt_that_bcrypt_takes_as_it_is(names: list[str]) -> None:
    salt = bcrypt_salt(*names)
    assert salt == bcrypt_salt(*names) != bcrypt_salt(*names, "more")
    # The last of the 22 signs stands for two bits only; another one would be changed.
    assert len(salt) == 29 and salt[-1] in ".Oeu"


@given(st.lists(st.text(max_size=9), min_size=1, max_size=4))
def test_names_make_a_salt_that_crypt_takes(names: list[str]) -> None:
    salt = sha512_salt(*names)
    assert salt == sha512_salt(*names) != sha512_salt(*names, "more")
    assert len(salt) == 16 and sha512_crypt("hunter2", salt).startswith(f"$6${salt}$")


def test_another_account_s_password_is_another_one_and_stays() -> None:
    made = derived("hunter2", OTHER)
    assert made == derived("hunter2", OTHER)
    assert made.isalnum() and len(made) == 24
    others = {derived("hunter3", OTHER), derived("hunter2", other_password("x")), "hunter2"}
    assert made not in others


def test_steps_follow_each_other() -> None:
    assert derived("hunter2", [OTHER, SALT]) == derived(derived("hunter2", OTHER), SALT)
    assert derived("hunter2", "abc") == sha512_crypt("hunter2", "abc")


@pytest.mark.parametrize("steps", [SALT, [OTHER], [OTHER, SALT]])
def test_a_reference_says_all_that_makes_it_again(tmp_path: Path, steps: str | list[str]) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    reference = {"file": "password", HASHED: steps}
    assert resolve(reference, tmp_path) == derived("hunter2", steps)
    vault = Vault()
    secret = vault.secret(vault.token(reference, tmp_path))
    assert secret.source == "file password"
    assert "hunter2" not in secret.reference
    assert resolve(json.loads(secret.reference), tmp_path) == secret.value

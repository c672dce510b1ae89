from __future__ import annotations

import base64
from pathlib import Path

import bcrypt
import pytest

from crosprov.twin.factory.overlord import Accounts

ADDRESS = "192.0.2.9"


def hashed(password: str, prefix: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, b"2b")).decode().replace("2b", prefix)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    file = tmp_path / "overlord.htpasswd"
    lines = [
        "# a remark", f"new:{hashed('good', '2y')}", f"old:{hashed('good', '2a')}",
        f"odd:{hashed('good', '2b')}", "plain:good", "no line",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    return Accounts(file)


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        (basic("new", "good"), True),
        (basic("old", "good"), True),
        (basic("new", "bad"), False),
        (basic("odd", "good"), False),
        (basic("plain", "good"), False),
        (basic("nobody", "good"), False),
        ("Basic nonsense!", False),
        ("", False),
    ],
)
def test_passwords_are_compared_by_bcrypt(accounts: Accounts, header: str, passes: bool) -> None:
    assert accounts.admit(header, ADDRESS) is passes


def test_without_a_password_file_everybody_passes(tmp_path: Path) -> None:
    assert Accounts(tmp_path / "none").admit("", ADDRESS)


@pytest.mark.parametrize(
    ("address", "wrong", "passes"),
    [(ADDRESS, 4, True), (ADDRESS, 5, False), ("127.0.0.1", 9, True)],
)
def test_who_guesses_five_times_is_shut_out(
    accounts: Accounts, address: str, wrong: int, passes: bool
) -> None:
    for _ in range(20):
        assert not accounts.admit("", address), "to give no password is no guess"
    for _ in range(wrong):
        assert not accounts.admit(basic("new", "bad"), address)
    assert accounts.admit(basic("new", "good"), address) is passes
    assert accounts.admit(basic("new", "good"), "192.0.2.10")

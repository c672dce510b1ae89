"""Dome's accounts and tokens: Django's password hashes in Django's tables."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from crosprov.twin.factory.dome.database import now, opened

ADMIN = "admin"
ADMIN_PASSWORD = "test0000"

_ITERATIONS = 216_000  # Django 3.1's
_SALT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def make_password(password: str, salt: str | None = None, iterations: int = _ITERATIONS) -> str:
    """Return what Django keeps of a password: `pbkdf2_sha256$ROUNDS$SALT$HASH`."""
    salt = salt or "".join(secrets.choice(_SALT) for _ in range(12))
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    return f"pbkdf2_sha256${iterations}${salt}${base64.b64encode(digest).decode()}"


def check_password(password: str, encoded: str) -> bool:
    """Tell if this is the password; anything but a hash of Django's is no password's."""
    parts = encoded.split("$")
    if len(parts) != 4 or parts[0] != "pbkdf2_sha256" or not parts[1].isdecimal():
        return False
    return hmac.compare_digest(make_password(password, parts[2], int(parts[1])), encoded)


class Accounts:
    """The accounts of a database."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def restore_admin(self) -> None:
        """Give `admin` its well-known password, again at each migration as the original does."""
        if not self.set_password(ADMIN, ADMIN_PASSWORD):
            self.create(ADMIN, ADMIN_PASSWORD)

    def create(self, username: str, password: str) -> None:
        columns = "password, is_superuser, username, first_name, last_name, email, is_staff"
        values = (make_password(password), 1, username, "", "", "", 1, 1, now())
        with opened(self._database) as connection:
            connection.execute(
                f"INSERT INTO auth_user ({columns}, is_active, date_joined)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def exists(self, username: str) -> bool:
        return self._encoded(username) is not None

    def set_password(self, username: str, password: str) -> bool:
        """Change an account's password; False when there is no such account."""
        return self.store_password(username, make_password(password))

    def store_password(self, username: str, encoded: str) -> bool:
        with opened(self._database) as connection:
            done = connection.execute(
                "UPDATE auth_user SET password = ? WHERE username = ?", (encoded, username)
            )
            return done.rowcount == 1

    def is_right(self, username: str, password: str) -> bool:
        encoded = self._encoded(username)
        return encoded is not None and check_password(password, encoded)

    def token_of(self, username: str) -> str:
        """Return the account's token, made at its first use."""
        with opened(self._database) as connection:
            connection.execute(
                "INSERT OR IGNORE INTO authtoken_token (key, created, user_id)"
                " SELECT ?, ?, id FROM auth_user WHERE username = ?",
                (secrets.token_hex(20), now(), username),
            )
            row = connection.execute(
                "SELECT key FROM authtoken_token JOIN auth_user ON auth_user.id = user_id"
                " WHERE username = ?",
                (username,),
            ).fetchone()
        return str(row[0])

    def knows_token(self, key: str) -> bool:
        with opened(self._database) as connection:
            found = connection.execute("SELECT 1 FROM authtoken_token WHERE key = ?", (key,))
            return found.fetchone() is not None

    def encoded(self, username: str) -> str:
        """Return what is kept of the password. Raises LookupError without the account."""
        found = self._encoded(username)
        if found is None:
            raise LookupError(username)
        return found

    def _encoded(self, username: str) -> str | None:
        with opened(self._database) as connection:
            row = connection.execute(
                "SELECT password FROM auth_user WHERE username = ?", (username,)
            ).fetchone()
        return None if row is None else str(row[0])

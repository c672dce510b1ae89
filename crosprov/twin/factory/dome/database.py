"""Dome's database: the tables and columns that the original's migrations make."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_USER = """
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, password varchar(128) NOT NULL,
  last_login datetime NULL, is_superuser bool NOT NULL, username varchar(150) NOT NULL UNIQUE,
  first_name varchar(150) NOT NULL, last_name varchar(150) NOT NULL, email varchar(254) NOT NULL,
  is_staff bool NOT NULL, is_active bool NOT NULL, date_joined datetime NOT NULL
"""
_TABLES = {
    "django_migrations": """
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, app varchar(255) NOT NULL,
  name varchar(255) NOT NULL, applied datetime NOT NULL
""",
    "auth_user": _USER,
    "authtoken_token": """
  key varchar(40) NOT NULL PRIMARY KEY, created datetime NOT NULL,
  user_id INTEGER NOT NULL UNIQUE REFERENCES auth_user (id)
""",
    "backend_project": """
  name varchar(200) NOT NULL PRIMARY KEY, umpire_enabled bool NOT NULL,
  umpire_port INTEGER UNSIGNED NULL CHECK (umpire_port >= 0),
  netboot_bundle varchar(200) NULL
""",
    "backend_domeconfig": """
  id INTEGER NOT NULL PRIMARY KEY, mcast_enabled bool NOT NULL, tftp_enabled bool NOT NULL,
  version_check_enabled bool NOT NULL
""",
    "backend_temporaryuploadedfile": """
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, file varchar(100) NOT NULL,
  created datetime NOT NULL
""",
}
MIGRATIONS = (
    ("auth", "0001_initial"),
    ("auth", "0012_alter_user_first_name_max_length"),
    ("authtoken", "0001_initial"),
    ("authtoken", "0003_tokenproxy"),
    ("backend", "0001_initial"),
    ("backend", "0019_domeconfig_version_check_enabled"),
)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database; each statement is a transaction of its own, as the original's are."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def migrate(path: Path) -> list[str]:
    """Make the tables that are missing; return the migrations applied by this call."""
    applied = []
    with opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        known = {(row[0], row[1]) for row in connection.execute(_KNOWN)}
        for app, name in MIGRATIONS:
            if (app, name) not in known:
                values = (app, name, now())
                connection.execute(
                    "INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, ?)", values
                )
                applied.append(f"{app}.{name}")
        connection.execute("COMMIT")
    return applied


_KNOWN = "SELECT app, name FROM django_migrations"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

"""Dome's own settings, one row: TFTP and multicast servers, and the check for versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crosprov.twin.factory.dome import umpires
from crosprov.twin.factory.dome.database import opened
from crosprov.twin.factory.dome.engine import Container, Engine

DEFAULTS = {"mcast_enabled": False, "tftp_enabled": False, "version_check_enabled": True}

_FIELDS = tuple(DEFAULTS)


def tftp() -> Container:
    folder = os.environ.get("HOST_TFTP_DIR", f"{umpires.shared_folder()}/tftp")
    return Container(
        name="dome_tftp",
        image=umpires.IMAGE,
        command=(
            *("dnsmasq", "--user=root", "--port=0", "--enable-tftp"),
            *("--tftp-root=/var/tftp", "--no-daemon", "--no-resolv"),
        ),
        binds=(f"{folder}:/var/tftp",),
        network="host",
    )


def multicast() -> Container:
    folder = os.environ.get("HOST_MCAST_DIR", f"{umpires.shared_folder()}/multicast")
    return Container(
        name="dome_mcast",
        image=umpires.IMAGE,
        command=("/usr/local/factory/py/multicast/server.py", "-l", "/var/log/multicast"),
        binds=(
            f"{umpires.umpire_folder()}:/var/db/factory/umpire",
            f"{folder}:/var/log/multicast",
            "/var/run/docker.sock:/var/run/docker.sock",
        ),
        network="host",
    )


_SERVERS = {"tftp_enabled": tftp, "mcast_enabled": multicast}


class Settings:
    """The row of a database, and the containers in an engine that go with it."""

    def __init__(self, database: Path, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    def read(self, key: int) -> dict[str, object] | None:
        with opened(self._database) as connection:
            row = connection.execute(
                f"SELECT {', '.join(_FIELDS)} FROM backend_domeconfig WHERE id = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        return {"id": key, **{name: bool(row[name]) for name in _FIELDS}}

    def exists(self) -> bool:
        with opened(self._database) as connection:
            found = connection.execute("SELECT 1 FROM backend_domeconfig")
            return found.fetchone() is not None

    def update(self, key: int, changes: Mapping[str, object]) -> dict[str, object]:
        """Change the row, and make or remove the servers that it switches."""
        values: dict[str, object] = {**DEFAULTS, **(self.read(key) or {}), **changes}
        key = int(str(changes.get("id", key)))  # another one makes another row
        self.save(key, values)
        for name, server in _SERVERS.items():
            if name not in changes:
                values[name] = server().name in self._engine.names()
            elif changes[name] != (server().name in self._engine.names()):
                self._switch(server(), bool(changes[name]))
        self.save(key, values)
        return {"id": key} | {name: values[name] for name in _FIELDS}

    def save(self, key: int, values: Mapping[str, object]) -> None:
        columns = ", ".join(("id", *_FIELDS))
        row = (key, *(bool(values[name]) for name in _FIELDS))
        with opened(self._database) as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO backend_domeconfig ({columns}) VALUES (?, ?, ?, ?)", row
            )

    def _switch(self, container: Container, is_on: bool) -> None:
        if not is_on:
            self._engine.remove_by_force(container.name)
            return
        try:
            self._engine.run(container)
        except Exception:
            self._engine.remove_by_force(container.name)
            raise

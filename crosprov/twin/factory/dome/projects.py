"""Dome's projects: rows of its database, and an Umpire for each that is enabled."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from crosprov.twin.factory import faults, places
from crosprov.twin.factory.dome import umpires
from crosprov.twin.factory.dome.answers import Refusal, refused
from crosprov.twin.factory.dome.database import opened
from crosprov.twin.factory.dome.engine import Engine

MAX_PORT_OFFSET = 19

_COLUMNS = "name, umpire_enabled, umpire_port, netboot_bundle"
_NETBOOT = {"netboot_kernel": "vmlinuz", "netboot_cmdline": "cmdline"}


@dataclass(frozen=True)
class Project:
    name: str
    umpire_enabled: bool = False
    umpire_port: int | None = None
    netboot_bundle: str | None = None


class Projects:
    """The projects of a database, whose Umpires run in an engine."""

    def __init__(self, database: Path, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    def all(self) -> list[Project]:
        with opened(self._database) as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM backend_project ORDER BY name")
            return [_project(row) for row in rows]

    def enabled(self) -> list[Project]:
        found = (project for project in self.all() if project.umpire_enabled)
        return sorted(found, key=lambda project: project.umpire_port or 0)

    def find(self, name: str) -> Project | None:
        return next((project for project in self.all() if project.name == name), None)

    def has_existing_umpire(self, project: Project) -> bool:
        """Tell if there is an Umpire; of a container that does not run, docker's failure."""
        return self._existing_port(project) is not None

    def create(self, name: str, changes: Mapping[str, object]) -> Project | None:
        """Make a project; None, and no project, when its Umpire could not be made."""
        project = Project(name)
        self._save(project)
        try:
            return self.update(project, changes)
        except Refusal as refusal:
            _tell(f"project {name} cannot be made: {refusal.body}")
            self._forget(name)
            return None

    def update(self, project: Project, changes: Mapping[str, object]) -> Project:
        """Change a project. Whatever fails is told as a port that is in use, as in the original.

        The request's port is what is kept at the end, also of an Umpire that was adopted with
        another one.
        """
        try:
            project = self._switched(project, changes)
            if changes.get("netboot_bundle", project.netboot_bundle) != project.netboot_bundle:
                self._export_netboot(project, str(changes["netboot_bundle"]))
            project = replace(project, **changes)  # type: ignore[arg-type]
            self._save(project)
        except Exception as error:
            sentence = (
                "Failed to create umpire server: The umpire port already has been used."
                f"\nAnother port, or another try, may do.\n{error!r}"
            )
            _tell(sentence)
            raise refused(500, sentence) from None
        return project

    def delete(self, project: Project) -> None:
        """Remove a project with its container and its data."""
        self._remove_container(project)
        folder = places.UMPIRES / project.name
        if folder.exists():
            shutil.rmtree(folder)
        self._forget(project.name)

    def renew_old(self, project: Project) -> None:
        """Make an Umpire anew when its version is not this image's; nothing when disabled."""
        if not project.umpire_enabled or project.umpire_port is None:
            return
        umpire = umpires.Umpire(project.umpire_port)
        found = umpire.version()
        if found == places.UMPIRE_VERSION:
            return
        _tell(f"project {project.name}: Umpire has version {found}, not {places.UMPIRE_VERSION}")
        self._remove_container(project)
        self._create_container(project, project.umpire_port)
        if (now := umpire.version()) != places.UMPIRE_VERSION:
            raise refused(500, f"The new Umpire has version {now}, not {places.UMPIRE_VERSION}.")

    def _switched(self, project: Project, changes: Mapping[str, object]) -> Project:
        if changes.get("umpire_enabled", project.umpire_enabled) == project.umpire_enabled:
            return project
        if not changes["umpire_enabled"]:
            return self._remove_container(project)
        if umpires.container_name(project.name) in self._engine.names():
            return self._adopt(project)
        port = changes["umpire_port"]
        if not isinstance(port, int):
            raise TypeError(f"unsupported port: {port!r}")
        return self._create_container(project, port)

    def _adopt(self, project: Project) -> Project:
        port = self._existing_port(project)
        project = replace(project, umpire_enabled=True, umpire_port=port)
        self._save(project)
        self.renew_old(project)
        return project

    def _create_container(self, project: Project, port: int) -> Project:
        container = umpires.container(project.name, port)
        try:
            if project.name in faults.wanted().fail_enable:
                raise subprocess.CalledProcessError(125, ["docker", "run", container.name])
            self._engine.run(container)
            (places.UMPIRES / ".default_project").write_text(project.name)
        except Exception:
            self._engine.remove(container.name)
            raise
        project = replace(project, umpire_enabled=True, umpire_port=port)
        self._save(project)
        return project

    def _remove_container(self, project: Project) -> Project:
        self._engine.remove(umpires.container_name(project.name))
        project = replace(project, umpire_enabled=False)
        self._save(project)
        return project

    def _existing_port(self, project: Project) -> int | None:
        if project.umpire_enabled:
            return project.umpire_port
        name = umpires.container_name(project.name)
        return self._engine.host_port(name, 8080) if name in self._engine.names() else None

    def _export_netboot(self, project: Project, bundle: str) -> None:
        if project.umpire_port is None:
            raise ValueError(f"project {project.name} has no Umpire")
        umpire = umpires.Umpire(project.umpire_port)
        held = payloads_of(umpire.call, bundle)
        for kind, file in _NETBOOT.items():
            where = f"chrome-bot/{project.name}/{file}"
            (places.TFTP / where).unlink(missing_ok=True)
            if kind in held:
                umpire.call("ExportPayload", bundle, kind, f"/mnt/tftp/{where}")

    def _save(self, project: Project) -> None:
        values = (
            *(project.name, project.umpire_enabled),
            *(project.umpire_port, project.netboot_bundle),
        )
        with opened(self._database) as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO backend_project ({_COLUMNS}) VALUES (?, ?, ?, ?)", values
            )

    def _forget(self, name: str) -> None:
        with opened(self._database) as connection:
            connection.execute("DELETE FROM backend_project WHERE name = ?", (name,))


def payloads_of(call: Callable[..., object], bundle: str) -> Mapping[str, object]:
    """Return the payloads of one bundle of an Umpire whose methods `call` calls."""
    config = json.loads(str(call("GetActiveConfig")))
    found = next(each for each in config["bundles"] if each["id"] == bundle)
    held = call("GetPayloadsDict", found["payloads"])
    return held if isinstance(held, dict) else {}


def _project(row: sqlite3.Row) -> Project:
    return Project(row[0], bool(row[1]), row[2], row[3])


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

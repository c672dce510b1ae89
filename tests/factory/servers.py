"""A factory server for backup and restore: this machine, with an imitation of docker."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crosprov.factory.place import Place
from crosprov.transport.base import Transport
from tests.support.machine import Machine

STUBS = Path(__file__).with_name("stubs")
VERSION = "20230616101859-adb3ce"
IMAGE = f"DOCKER_IMAGE_TIMESTAMP=20230616101859\nDOCKER_IMAGE_GITHASH=adb3ce{'0' * 34}\n"
SCRIPT = '#!/bin/bash\nDOCKER_IMAGE_GITHASH="adb3ce{}"\nDOCKER_IMAGE_TIMESTAMP="20230616101859"\n'
CONFIG = "umpire.0cc175b9c0f1b6a831c399e269772661.json"


@dataclass
class Server:
    """A machine whose shared folder and whose containers a test arranges."""

    machine: Machine
    name: str = "factory1"

    @classmethod
    def at(cls, root: Path, name: str = "factory1") -> Server:
        """Make a host with docker and nothing else."""
        machine = Machine(root / name)
        machine.root.mkdir(exist_ok=True)
        machine.install(*STUBS.iterdir())
        server = cls(machine, name)
        server.containers.mkdir()
        server.tell(image=IMAGE)
        return server

    @property
    def shared(self) -> Path:
        return self.machine.root / "cros docker"

    @property
    def containers(self) -> Path:
        """The folder in which docker keeps its containers, one folder each."""
        return self.machine.stubs / "containers"

    def tell(self, **given: str) -> None:
        """Tell the imitations how to be: image, refuses, kills, dome; "" is as usual."""
        for name, text in given.items():
            (self.machine.stubs / name).write_text(text)

    def statuses(self) -> dict[str, str]:
        return {
            path.name: (path / "status").read_text().strip() for path in self.containers.iterdir()
        }

    def set_status(self, *names: str, status: str) -> None:
        for name in names:
            (self.containers / name / "status").write_text(f"{status}\n")

    def place(self, transport: Transport | None = None) -> Place:
        reached = transport or self.machine.transport()
        return Place(
            host=self.name,
            connect=lambda: reached,
            shared_dir=str(self.shared),
            script=str(self.machine.root / "cros_docker.sh"),
            image="cros/factory_server",
            dome_port=8000,
            state_dir=str(self.machine.state_dir),
            by="test@here",
        )

    def set_up(self, *projects: str) -> Server:
        """Fill it as Dome and the Umpires of these projects would."""
        (self.machine.root / "cros_docker.sh").write_text(SCRIPT.format("0" * 34))
        (self.shared / "dome/log").mkdir(parents=True)
        (self.shared / "dome/log/dome.log").write_text("a log\n")
        self.database(*projects)
        for number, project in enumerate(projects):
            self._umpire(project, number)
        self.run_containers(*projects)
        return self

    def database(self, *projects: str) -> None:
        with closing(sqlite3.connect(self.shared / "dome/db.sqlite3")) as base, base:
            base.execute(
                "CREATE TABLE IF NOT EXISTS backend_project "
                "(name TEXT PRIMARY KEY, umpire_enabled BOOL, umpire_port INTEGER)"
            )
            rows = [(name, True, 8080 + 20 * n) for n, name in enumerate(projects)]
            base.executemany("INSERT INTO backend_project VALUES (?, ?, ?)", rows)

    def run_containers(self, *projects: str) -> None:
        shared = str(self.shared)
        dome = {
            "/var/db/factory/dome/db.sqlite3": f"{shared}/dome/db.sqlite3",
            "/var/db/factory/umpire": f"{shared}/umpire",
        }
        umpires = {
            f"umpire_{name}": {"/mnt": shared, "/var/db/factory/umpire": f"{shared}/umpire/{name}"}
            for name in projects
        }
        mounts: dict[str, dict[str, str]] = {
            "dome_uwsgi": dome, "dome_nginx": dome, **umpires, "somebodys": {},
        }  # fmt: skip
        for name, targets in mounts.items():
            (self.containers / name).mkdir()
            lines = (f"{target} {source}\n" for target, source in targets.items())
            (self.containers / name / "mounts").write_text("".join(lines))
            self.set_status(name, status="running")

    def _umpire(self, project: str, number: int) -> None:
        data = self.shared / "umpire" / project
        for folder in ("resources", "conf", "log", "run", "temp", "umpire_data/dkps/gnupg"):
            (data / folder).mkdir(parents=True)
        (data / "resources" / CONFIG).write_text(f'{{"number": {number}}}')
        (data / "active_umpire.json").symlink_to(f"resources/{CONFIG}")
        (data / "log/httpd_access.log").write_text("a log\n")
        (data / "run/umpired.pid").write_text("7\n")
        (data / "temp/upload").write_text("half")
        (data / "umpire_data/dkps/gnupg").chmod(0o700)
        with closing(sqlite3.connect(data / "umpire_data/dkps/dkps.db")) as base, base:
            base.execute("CREATE TABLE keys (value TEXT)")
        (self.shared / "umpire/.default_project").write_text(project)


Survey = dict[bytes, tuple[object, ...]]


def survey(root: Path, *, left: tuple[str, ...] = ()) -> Survey:
    """Look at all below a folder but for `left`: kinds, modes, owners, times, content, links."""
    found: Survey = {}
    inodes: dict[int, bytes] = {}
    for folder, names, files in os.walk(os.fsencode(root)):
        names[:] = [name for name in names if os.fsdecode(name) not in left]
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, os.fsencode(root))
            found[relative] = (*_looks(path), inodes.setdefault(os.lstat(path).st_ino, relative))
    return found


def _looks(path: bytes) -> tuple[object, ...]:
    seen = os.lstat(path)
    content: object = None
    if stat.S_ISREG(seen.st_mode):
        with open(path, "rb") as file:
            content = file.read()
    elif stat.S_ISLNK(seen.st_mode):
        content = os.readlink(path)
    time = seen.st_mtime_ns if not stat.S_ISLNK(seen.st_mode) else 0
    return (stat.filemode(seen.st_mode), seen.st_uid, seen.st_gid, time, content)

"""The image's programs as processes of this machine: Dome, and Umpires in a fake engine."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosprov.twin.factory import programs
from tests.support.waiting import until
from tests.twin.engine import FakeEngine

_FOLDERS = ("var/db/factory/dome", "var/db/factory/umpire", "var/log/dome", "var/run", "run")
_PORTS = 10  # that an Umpire takes, from its first on
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Dome behind nginx, with a folder in place of a container's root."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        for path, data in programs.files().items():
            if path.startswith(f"{programs.PACKAGES}/"):
                target = self.packages / path.removeprefix(f"{programs.PACKAGES}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        self.root = folder / "root"
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True)
        self.umpires = self.root / "var/db/factory/umpire"
        self.database = self.root / "var/db/factory/dome/db.sqlite3"
        self.engine = FakeEngine(folder, self.packages)
        (self.root / "var/run/docker.sock").symlink_to(self.engine.socket)
        self.port = free_ports()
        self.log = folder / "log"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start `uwsgi`, `nginx` or both, and wait until they answer."""
        for name in names:
            with self.log.open("ab") as log:
                self._running[name] = subprocess.Popen(
                    self._command(f"dome.{name}"),
                    env=self._environment(),
                    stdout=log,
                    stderr=log,
                )
        dome = self.root / "run/dome.sock"
        if "uwsgi" in names:
            until(dome.exists)
        if "nginx" in names:
            until(lambda: can_connect(self.port))

    def stop(self, name: str) -> int:
        """End a program as `docker stop` does, and return its status."""
        process = self._running.pop(name)
        process.terminate()
        return process.wait(10)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self.engine.close()

    def manage(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `manage.py` without a terminal."""
        return subprocess.run(
            self._command("dome.manage", *words),
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a program on standard input, as `docker exec -i … python3 -` does."""
        return subprocess.run(
            (sys.executable, "-"),
            env=self._environment(),
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        within: float = 20.0,
    ) -> Reply:
        """Send a request to nginx; a body that is not bytes goes as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {**kind, **(headers or {})},
            method=method,
        )
        try:
            with _OPENER.open(request, timeout=within) as answer:
                return Reply(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read(), dict(error.headers))

    def upload(self, data: bytes, name: str) -> int:
        """Upload a file and return its id."""
        form = (
            b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n%s\r\n--frontier--\r\n"
        ) % (name.encode(), data)
        kind = {"Content-Type": "multipart/form-data; boundary=frontier"}
        return int(self.ask("POST", "/files/", form, headers=kind).json["id"])

    def want(self, **faults: object) -> None:
        """Ask Dome for faults."""
        (self.root / "var/log/dome/faults.json").write_text(json.dumps(faults))

    def umpire(self, port: int) -> xmlrpc.client.ServerProxy:
        """Return the calls of the Umpire whose first port this is, once it answers."""
        until(lambda: can_connect(port + 2))
        return xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port + 2}", allow_none=True)

    def _command(self, module: str, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"crosprov.twin.factory.{module}", *words)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self.packages),
            "STANDIN_ROOT": str(self.root),
            "STANDIN_GATEWAY": "127.0.0.1",
            "STANDIN_HTTP_PORT": str(self.port),
            "STANDIN_UMPIRE_VERSION": str(self.engine.umpire_version),
            "HOST_SHARED_DIR": "/cros_docker",
            "HOST_UMPIRE_DIR": str(self.umpires),
            "DOCKER_IMAGE_GITHASH": "a" * 40,
            "DOCKER_IMAGE_TIMESTAMP": "20240101000000",
            "DOCKER_IMAGE_ISLOCAL": "0",
        }


def free_ports(count: int = _PORTS) -> int:
    """Return the first of some ports in a row that nobody has, below those of clients."""
    while True:
        first = random.randrange(20_000, 30_000, count)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("", port)))
            except OSError:
                continue
            return first


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True

"""A Docker engine for tests: its socket, and Umpires that are processes of this machine."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeEngine:
    """Containers are dictionaries; one whose command is umpired runs as a process.

    An image's containers get the version of Umpire that `umpire_version` has when they are made.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.socket = folder / "docker.sock"
        self.containers: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []
        self.umpire_version = 8
        self.ports_in_use: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._programs = programs
        self._server = _Server(str(self.socket), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and end every Umpire."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for name in list(self._processes):
            self.end(name)

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Do what a request asks; return the status and the body of the answer."""
        split = urlsplit(target)
        words = [word for word in split.path.split("/") if word]
        query = parse_qs(split.query)
        if words == ["containers", "json"]:
            return 200, [{"Names": [f"/{name}"]} for name in self.containers]
        if words == ["containers", "create"]:
            return self._create(query["name"][0], body)
        name = words[1]
        if name not in self.containers:
            return 404, {"message": f"No such container: {name}"}
        if method == "DELETE":
            self.end(name)
            del self.containers[name]
            return 204, None
        if words[2:] == ["start"]:
            return self.start(name)
        if words[2:] == ["stop"]:
            self.end(name)
            return 204, None
        return 200, {"NetworkSettings": {"Ports": self._ports(name)}}

    def start(self, name: str) -> tuple[int, Any]:
        body = self.containers[name]
        bound = {each[0]["HostPort"] for each in body["HostConfig"]["PortBindings"].values()}
        if taken := bound & self.ports_in_use:
            return 500, {"message": f"Bind for 0.0.0.0:{min(taken)} failed"}
        if body["Cmd"][0].endswith("/umpired"):
            self._processes[name] = self._umpire(name, body)
        return 204, None

    def end(self, name: str) -> None:
        """Kill a container's process, as stopping it does."""
        process = self._processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def _create(self, name: str, body: Any) -> tuple[int, Any]:
        if name in self.containers:
            return 409, {"message": f"Conflict. The container name {name} is already in use"}
        if not body["Image"].startswith("cros/factory_server"):
            return 404, {"message": f"No such image: {body['Image']}"}
        self.containers[name] = body | {"version": self.umpire_version}
        self.made.append({"name": name, **body})
        return 201, {"Id": name}

    def _ports(self, name: str) -> dict[str, Any]:
        if name not in self._processes:
            return {}
        bindings: dict[str, Any] = self.containers[name]["HostConfig"]["PortBindings"]
        return bindings

    def _umpire(self, name: str, body: Any) -> subprocess.Popen[bytes]:
        root = self._folder / name
        data = body["HostConfig"]["Binds"][1].split(":")[0]
        link = root / "var/db/factory/umpire"
        if not link.is_symlink():
            link.parent.mkdir(parents=True)
            Path(data).mkdir(parents=True, exist_ok=True)
            link.symlink_to(data)
        base = body["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"]
        added = dict(pair.split("=", 1) for pair in body["Env"])
        environment = {
            **os.environ,
            **added,
            "PYTHONPATH": str(self._programs),
            "STANDIN_ROOT": str(root),
            "STANDIN_UMPIRE_BASE": base,
            "STANDIN_UMPIRE_VERSION": str(body["version"]),
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            command = (sys.executable, "-m", "crosprov.twin.factory.umpire.umpired")
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = super().get_request()
        return connection, ("", 0)


def _handler(engine: FakeEngine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            status, body = engine.answer(self.command, self.path, json.loads(raw or "null"))
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _respond

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler

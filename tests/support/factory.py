"""A factory server in the process of a test: Docker, Dome's REST, the XML-RPC of Umpires.

It keeps what the operations of projects can see of one. The `docker` of the host asks it for
containers, and runs the host's own Python for the one in Dome's container.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
import threading
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from crosprov.facts.dome import DATABASE, VOLUMES
from crosprov.operations.dome_requests import Dome
from crosprov.operations.dome_settings import MULTICAST, TFTP
from crosprov.operations.project_wish import Wish, made_from
from tests.support.machine import Machine
from tests.support.ports import free_port

IMAGE = "sha256:one"
DOCKER = r"""#!/bin/sh
{{ printf '%s\n' "$@"; env; }} >> {seen}  # what every user of the host could see
if [ "$1" = exec ]; then
  while [ "$1" != python3 ]; do shift; done
  shift
  case $1 in
    manage.py) shift; exec {python} -IS {manage} {database} "$@";;
    *) [ "$1" = -I ] && shift
      p=$(printf %s "$2" | sed 's!{inside}!{database}!'); shift 2; exec {python} -IS -c "$p" "$@";;
  esac
fi
said=$(printf '%s\n' "$@" | curl -q -s --data-binary @- -w '\n%{{http_code}}' {url}/docker)
code=${{said##*
}}
printf %s "${{said%
*}}"
[ "$code" = 200 ]
"""
MANAGE = """\
import base64, hashlib, sqlite3, sys
database, _, _, program = sys.argv[1:]
account = program.split("username='")[1].split("'")[0]
digest = hashlib.pbkdf2_hmac("sha256", sys.stdin.buffer.read(), b"grain", 1000)
with sqlite3.connect(database) as base:
    made = "pbkdf2_sha256$1000$grain$" + base64.b64encode(digest).decode()
    base.execute("update auth_user set password = ? where username = ?", (made, account))
"""
CONFIG: dict[str, Any] = {
    "active_bundle_id": "empty",
    "bundles": [{"id": "empty", "note": "", "payloads": "payload.0.json"}],
    "services": {"instalog": {"active": True, "archive": {"enable": False}}, "rsync": {}},
}
SCHEMA: dict[str, Any] = {
    "instalog": {"properties": {"active": {}, "inputHttp": {}, "archive": {}, "forward": {}}},
    "shopFloor": {"properties": {"active": {}, "serviceUrl": {}}},
    "rsync": {"properties": {"active": {}}},
}


class Refusal(Exception):
    """What Dome answers instead: a status and a body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


@dataclass
class Container:
    """A container: what `seen` tells of it, and the server of an Umpire that runs."""

    lines: list[str]
    status: str = "running"
    server: ThreadingHTTPServer | None = None


@dataclass
class Factory:
    """What a factory server is, and the faults that it shall have."""

    folder: Path
    image: str = IMAGE
    containers: dict[str, Container] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, bool] | None = None
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[int, bytes] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)  # `PUT /projects/eve/`: status
    taken: set[int] = field(default_factory=set)  # ports of something else
    cut: int = 0  # the answer to so manieth request that changes something is lost
    deploying: int = 0  # how often an Umpire is asked until it is ready; -1: it never is
    requests: list[str] = field(default_factory=list)  # that change something
    server: ThreadingHTTPServer = field(init=False)
    hung: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.server = serve(0, self._asked)
        with sqlite3.connect(self.database) as base:
            base.execute("create table auth_user (username text, password text)")
            base.execute("insert into auth_user values ('admin', '')")

    @property
    def dome(self) -> Dome:
        """Describe the Dome as the operations want it."""
        return Dome(self.server.server_port, "cros/factory_server", f"{self.folder}/shared")

    @property
    def database(self) -> Path:
        """Give the path of Dome's database."""
        return self.folder / "db.sqlite3"

    def equip(self, machine: Machine) -> None:
        """Give a machine the docker that asks this."""
        manage = self.folder / "manage.py"
        manage.write_text(MANAGE)
        program = machine.root / "bin" / "docker"
        program.unlink(missing_ok=True)
        program.write_text(
            DOCKER.format(
                python=sys.executable,
                manage=manage,
                database=self.database,
                inside=DATABASE,
                seen=self.folder / "seen",
                url=f"http://127.0.0.1:{self.server.server_port}",
            )  # fmt: skip
        )
        program.chmod(0o755)

    def close(self) -> None:
        """End all servers."""
        self.hung.set()
        for name in list(self.containers):
            self.halt(name)
        shut(self.server)

    def make(self, name: str, base: int, *, image: str = "") -> None:
        """Make the container of a project as Dome does, and its data."""
        lines = [*made_from(self.dome, Wish(name, base)), f"image {image or self.image}"]
        self.containers[f"umpire_{name}"] = Container(lines, status="exited")
        Path(self.dome.data(name)).mkdir(parents=True, exist_ok=True)
        self.configs.setdefault(name, json.loads(json.dumps(CONFIG)))
        self.up(f"umpire_{name}")

    def up(self, name: str) -> None:
        """Start a container."""
        made = self.containers[name]
        made.status = "running"
        if name.startswith("umpire_") and made.server is None:
            port = next(int(li.split()[2]) for li in made.lines if li.startswith("port 8082/tcp"))
            project = name.removeprefix("umpire_")
            made.server = serve(port, lambda *asked: self._umpire(project, *asked))

    def halt(self, name: str, status: str = "exited") -> None:
        """Stop a container."""
        made = self.containers[name]
        made.status = status
        if made.server is not None:
            shut(made.server)
            made.server = None

    def remove(self, name: str) -> None:
        """Remove a container, if it is there."""
        if name in self.containers:
            self.halt(name)
            del self.containers[name]

    def _asked(self, verb: str, path: str, body: bytes) -> tuple[int, bytes]:
        before = len(self.requests)
        status, said = self._answer(verb, path, body)
        lost = before < self.cut <= len(self.requests)
        return (0, b"") if lost else (status, said)

    def _answer(self, verb: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/docker":
            printed = self._docker(body.decode().split("\n")[:-1])
            return (404, b"") if printed is None else (200, printed.encode())
        asked = f"{verb} {path}"
        if verb != "GET":
            self.requests.append(asked)
        fault = self.faults.get(asked)
        if fault == 0:
            self.hung.wait(60)
            return 500, b""
        if fault == 500:
            page = '<title>KeyError at /x</title>\n<pre class="exception_value">it&#x27;s bad</pre>'
            return 500, page.encode()
        try:
            if fault is not None:
                raise Refusal(fault, {"detail": "as asked"})
            status, said = self._dome(verb, path, body)
        except Refusal as refusal:
            status, said = refusal.status, refusal.body
        return status, json.dumps(said).encode()

    def _dome(self, verb: str, path: str, body: bytes) -> tuple[int, object]:
        if path == "/files/":
            content = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            self.uploads[len(self.uploads) + 1] = content
            return 201, {"id": len(self.uploads), "file": "x"}
        sent = json.loads(body) if body else {}
        match verb, path.strip("/").split("/"):
            case "GET", ["projects"]:
                return 200, [{"name": name, **row} for name, row in self.rows.items()]
            case "POST", ["projects"]:
                return self._register(sent["name"])
            case "PUT", ["projects", name]:
                return 200, self._update(name, sent)
            case "DELETE", ["projects", name]:
                self.remove(f"umpire_{name}")
                shutil.rmtree(self.dome.data(name), ignore_errors=True)
                del self.rows[name]
                return 204, ""
            case "GET", ["config", "0"]:
                return (200, self.settings) if self.settings else (404, {"detail": "Not found."})
            case "PUT", ["config", "0"]:
                self._set(sent)
                return 200, self.settings
            case "GET", ["projects", _, "services", "schema"]:
                return 200, SCHEMA
            case "PUT", ["projects", name, "services"]:
                self.configs[name]["services"].update(sent)
                return 200, None
            case "POST", ["projects", name, "bundles"]:
                return self._bundle(name, sent)
            case "PUT", ["projects", name, "bundles", bundle]:
                if "newName" in sent:
                    copied = next(b for b in self.configs[name]["bundles"] if b["id"] == bundle)
                    self.configs[name]["bundles"].append({**copied, "id": sent["newName"]})
                self.configs[name]["active_bundle_id"] = sent.get("newName", bundle)
                return 200, {}
        return 404, {"detail": "Not found."}

    def _register(self, name: str) -> tuple[int, object]:
        if name in self.rows:
            raise Refusal(400, {"name": ["project with this name must be unique."]})
        self.rows[name] = {"umpireEnabled": False, "umpirePort": None, "netbootBundle": None}
        return 201, {"name": name}

    def _update(self, name: str, sent: dict[str, Any]) -> object:
        row = self.rows[name]
        wanted = sent.get("umpireEnabled", row["umpireEnabled"])
        container = f"umpire_{name}"
        if wanted and not row["umpireEnabled"] and container not in self.containers:
            if sent["umpirePort"] in self.taken:
                words = "The umpire port already has been used.\nError('busy')"
                raise Refusal(500, {"detail": f"Failed to create umpire server: {words}"})
            self.make(name, sent["umpirePort"])
        if not wanted and row["umpireEnabled"]:
            self.remove(container)
        row.update(sent)
        return {"name": name, **row}

    def _set(self, sent: dict[str, bool]) -> None:
        kept = self.settings or {
            "tftpEnabled": False, "mcastEnabled": False, "versionCheckEnabled": True,
        }  # fmt: skip
        self.settings = {**kept, **sent}
        for setting in (TFTP, MULTICAST):
            name = str(setting.container)
            if sent.get(setting.field) and name not in self.containers:
                bind = f"bind {setting.volume(self.dome)}"
                self.containers[name] = Container([f"image {self.image}", bind])
            if sent.get(setting.field) is False:
                self.containers.pop(name, None)

    def _bundle(self, name: str, sent: dict[str, Any]) -> tuple[int, object]:
        config = self.configs[name]
        if any(one["id"] == sent["name"] for one in config["bundles"]):
            raise Refusal(409, {"detail": f'Bundle "{sent["name"]}" already exists'})
        content = self.uploads.pop(sent["bundleFileId"])
        if b"bad" in content:
            raise Refusal(500, {"detail": "it is no archive"})
        payloads = f"payload.{hash(content)}.json"
        entry = {"id": sent["name"], "note": sent["note"], "payloads": payloads}
        config["bundles"].insert(0, entry)
        config["active_bundle_id"] = sent["name"]
        return 201, {}

    def _umpire(self, project: str, verb: str, path: str, body: bytes) -> tuple[int, bytes]:
        _, method = xmlrpc.client.loads(body)
        said: int | bool | str = 8
        if method == "IsDeploying":
            self.deploying -= self.deploying > 0
            said = self.deploying != 0
        if method == "GetActiveConfig":
            said = json.dumps(self.configs[project], indent=2)
        return 200, xmlrpc.client.dumps((said,), methodresponse=True).encode()

    def _docker(self, words: list[str]) -> str | None:
        verb, *rest = words
        if verb in ("container", "image"):
            found = [self._inspect(verb, rest[2], name) for name in rest[3:]]
            return "".join(one for one in found if one is not None) if any(found) else None
        if verb in ("ps", "logs"):
            return "last words\n" if verb == "logs" else ""
        name = rest[-1]
        self.requests.append(f"docker {verb} {name}")
        if name not in self.containers:
            return None
        actions: dict[str, Callable[[str], None]] = {
            "stop": self.halt, "rm": self.remove, "start": self.up, "unpause": self.up,
            "restart": self.up,
        }  # fmt: skip
        actions[verb](name)
        return ""

    def _inspect(self, kind: str, form: str, name: str) -> str | None:
        if kind == "image":
            return f"{self.image}\n"
        found = self.containers.get(name)
        if found is None:
            return None
        image = next(line[6:] for line in found.lines if line.startswith("image "))
        if "println" in form:
            own = "env PATH=/bin\nenv DOCKER_IMAGE_ISLOCAL=0\n\n"
            return "\n".join([f"status {found.status}", *found.lines, own])
        running = "true" if found.status == "running" else "false"
        values = {".Name": f"/{name}", ".State.Status": found.status, ".Image": image,
                  ".State.Running": running}  # fmt: skip
        volumes = "".join(f" {line[5:]}" for line in found.lines if line.startswith("bind "))
        form = form.replace(VOLUMES, volumes)
        return re.sub(r"\{\{([\w.]+)\}\}", lambda one: values[one[1]], form) + "\n"


def serve(port: int, answer: Callable[[str, str, bytes], tuple[int, bytes]]) -> ThreadingHTTPServer:
    """Serve on a port of the loopback, by a function of verb, path and body; 0: no answer."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = answer(self.command, self.path, body)
            if status == 0:
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def shut(server: ThreadingHTTPServer) -> None:
    """End a server."""
    server.shutdown()
    server.server_close()


def free_base() -> int:
    """Give a base port whose port for XML-RPC is free."""
    return free_port() - 2

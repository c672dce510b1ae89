"""The host's Docker engine, spoken to over its socket as the original's client does."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

_TIMEOUT = 120.0


@dataclass(frozen=True)
class Container:
    """What `docker run --detach --restart unless-stopped` would make."""

    name: str
    image: str
    command: tuple[str, ...]
    binds: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    ports: Mapping[int, int] = field(default_factory=dict)  # inside: on the host
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    privileged: bool = False
    network: str = "default"

    def body(self) -> dict[str, Any]:
        """Return what the engine is told, as its own client would put it."""
        return {
            "Image": self.image,
            "Cmd": list(self.command),
            "Env": list(self.environment),
            "ExposedPorts": {f"{inside}/tcp": {} for inside in self.ports},
            "HostConfig": {
                "Binds": list(self.binds),
                "NetworkMode": self.network,
                "PortBindings": {
                    f"{inside}/tcp": [{"HostIp": "", "HostPort": str(outside)}]
                    for inside, outside in self.ports.items()
                },
                "Privileged": self.privileged,
                "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
                "Tmpfs": dict(self.tmpfs),
            },
        }


class Engine:
    """A Docker engine. Each method raises CalledProcessError, as docker's failure would."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> frozenset[str]:
        """Return the names of all containers, running or not."""
        found = self._call(("ps", "--all"), "GET", "/containers/json?all=1")
        return frozenset(name.lstrip("/") for each in found for name in each["Names"])

    def host_port(self, name: str, inside: int) -> int:
        """Return the host's port of a container's port, which only a running one has."""
        words = ("inspect", name)
        found = self._call(words, "GET", f"/containers/{quote(name)}/json")
        bound = (found["NetworkSettings"]["Ports"] or {}).get(f"{inside}/tcp")
        if not bound:
            raise _failure(1, words, f"container {name} publishes no port {inside}")
        return int(bound[0]["HostPort"])

    def run(self, container: Container) -> None:
        """Make a container and start it; one that could not be started stays."""
        words = ("run", "--detach", "--name", container.name, container.image, *container.command)
        where = f"/containers/create?{urlencode({'name': container.name})}"
        self._call(words, "POST", where, container.body(), status=125)
        self._call(words, "POST", f"/containers/{quote(container.name)}/start", status=125)

    def remove(self, name: str) -> None:
        """Stop a container and remove it; one that is not there is no failure."""
        for method, path in (("POST", "stop"), ("DELETE", "")):
            where = f"/containers/{quote(name)}/{path}".rstrip("/")
            try:
                self._call((path or "rm", name), method, where)
            except subprocess.CalledProcessError:
                continue

    def remove_by_force(self, name: str) -> None:
        try:
            self._call(("rm", "-f", name), "DELETE", f"/containers/{quote(name)}?force=1")
        except subprocess.CalledProcessError:
            return

    def _call(
        self,
        words: tuple[str, ...],
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 1,
    ) -> Any:
        connection = _Connection(self._path)
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if data else {}
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise _failure(status, words, f"the engine does not answer: {error}") from None
        finally:
            connection.close()
        if answer.status >= 400:
            raise _failure(status, words, text.decode(errors="replace"))
        return json.loads(text) if text.strip() else None


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _failure(status: int, words: tuple[str, ...], why: str) -> subprocess.CalledProcessError:
    """Docker's own words go to the container's log; Dome's answer has the command alone."""
    sys.stderr.write(f"docker: {why.strip()}\n")
    sys.stderr.flush()
    return subprocess.CalledProcessError(status, ["docker", *words])

"""Umpire's instances as Dome sees them: their containers, and their calls over XML-RPC."""

from __future__ import annotations

import http.client
import os
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any

from crosprov.twin.factory import places
from crosprov.twin.factory.dome.answers import refused
from crosprov.twin.factory.dome.engine import Container

IMAGE = "cros/factory_server"
DAEMON = "/usr/local/factory/bin/umpired"
UPLOADS_VOLUME = "cros-docker-shared-tmp-vol"

_INSIDE = 8080
_OFFSETS = (0, 2, 4, 6, 8, 9)
_CLI_OFFSET = 2
_START = 5.0  # seconds that Dome waits for a version
_REACH = 45.0  # seconds that any other request waits for an Umpire that cannot be reached
_CALL = 1800.0


def container_name(project: str) -> str:
    return f"umpire_{project}"


def shared_folder() -> str:
    return os.environ.get("HOST_SHARED_DIR", "/cros_docker")


def umpire_folder() -> str:
    return os.environ.get("HOST_UMPIRE_DIR", f"{shared_folder()}/umpire")


def container(project: str, port: int) -> Container:
    """Return the container of a project's Umpire whose first port on the host is `port`."""
    binds = [
        f"{shared_folder()}:/mnt",
        f"{umpire_folder()}/{project}:/var/db/factory/umpire",
        f"{UPLOADS_VOLUME}:/tmp/shared",
    ]
    if local_time := os.environ.get("HOST_LOCALTIME_PATH", "/etc/localtime"):
        binds.append(f"{local_time}:/etc/localtime:ro")
    return Container(
        name=container_name(project),
        image=IMAGE,
        command=(DAEMON,),
        binds=tuple(binds),
        environment=(f"UMPIRE_PROJECT_NAME={project}", f"UMPIRE_PROJECT_PORT={port}"),
        ports={_INSIDE + offset: port + offset for offset in _OFFSETS},
        tmpfs={"/run": "rw,size=16384k"},
        privileged=True,
    )


class Umpire:
    """The calls of an Umpire whose first port on the host is `port`."""

    def __init__(self, port: int, is_abandoned: Callable[[], bool] = lambda: False) -> None:
        address = f"http://{places.gateway()}:{port + _CLI_OFFSET}"
        self._proxy = xmlrpc.client.ServerProxy(address, _Transport(), allow_none=True)
        self._is_abandoned = is_abandoned

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method, waiting for an Umpire that cannot be reached, which is long.

        Raises Fault for Umpire's own failures, OSError when the wait was in vain.
        """
        return self._patiently(_REACH, method, arguments)

    def version(self) -> int:
        """Ask for the version; 0 of one that does not know the question."""
        try:
            return int(self._patiently(_START, "GetVersion", ()))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == xmlrpc.client.METHOD_NOT_FOUND:
                return 0
            raise
        except OSError:
            sentence = f"Can't connect to umpire after {_START:.0f} seconds."
            raise refused(400, sentence) from None

    def _patiently(self, seconds: float, method: str, arguments: tuple[object, ...]) -> Any:
        end = time.monotonic() + seconds
        while True:
            try:
                return getattr(self._proxy, method)(*arguments)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > end or self._is_abandoned():
                    raise ConnectionError(f"Umpire cannot be reached: {error}") from None
            time.sleep(0.2)


class _Transport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = _CALL
        return connection

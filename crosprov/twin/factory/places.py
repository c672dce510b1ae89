"""Where the programs of the image find things; the environment moves them for tests.

In the image nothing is set: paths are the original's and begin at `/`, and the host is what
the default route leads to.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

ROOT = Path(os.environ.get("STANDIN_ROOT", "/"))

DOME_SOCKET = ROOT / "run/dome.sock"
DOCKER_SOCKET = ROOT / "var/run/docker.sock"
DATABASE = ROOT / "var/db/factory/dome/db.sqlite3"
DOME_LOG = ROOT / "var/log/dome"
UPLOADS = ROOT / "tmp/shared"
UMPIRES = ROOT / "var/db/factory/umpire"  # of all projects in Dome, of the one project in Umpire
TFTP = ROOT / "var/tftp"

HTTP_PORT = int(os.environ.get("STANDIN_HTTP_PORT", "80"))
UMPIRE_BASE = int(os.environ.get("STANDIN_UMPIRE_BASE", "8080"))
UMPIRE_VERSION = int(os.environ.get("STANDIN_UMPIRE_VERSION", "8"))

_LOOPBACK = "127.0.0.1"


def gateway() -> str:
    """Return the host's address as a container sees it: the next hop of its default route."""
    if address := os.environ.get("STANDIN_GATEWAY"):
        return address
    try:
        routes = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return _LOOPBACK
    for fields in map(str.split, routes):
        if len(fields) > 2 and fields[1] == "00000000" and fields[2] != "00000000":
            return socket.inet_ntoa(struct.pack("<L", int(fields[2], 16)))
    return _LOOPBACK

"""The floor: one handshake and one exec per host, and nothing else.

`floor.py HOSTS.json`, a list of {host, user, key, known_hosts, script}. As bare as paramiko
gets: no configuration is read, no output is looked at beyond the exit status.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko


def visit(host: dict[str, Any]) -> int:
    """Connect, run the script, read all it says; return its exit status."""
    sock = socket.create_connection((host["host"], 22), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = paramiko.SSHClient()
    client.load_host_keys(host["known_hosts"])
    client.connect(
        host["host"], username=host["user"], pkey=paramiko.Ed25519Key(filename=host["key"]),
        sock=sock, allow_agent=False, look_for_keys=False,
    )  # fmt: skip
    with client:
        stdin, stdout, stderr = client.exec_command("sh -s")
        stdin.write(host["script"])
        stdin.channel.shutdown_write()
        stdout.read()
        stderr.read()
        return stdout.channel.recv_exit_status()


def main(path: str) -> int:
    """Visit all hosts at once."""
    hosts = json.loads(Path(path).read_text())
    with ThreadPoolExecutor(len(hosts)) as pool:
        return max(pool.map(visit, hosts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Measure the embedded dev server beside nginx on the same files: `python -m bench.payload`.

One payload to many clients at once, and many small files. The runs of the two take turns, so
that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from bench.measure import BenchError

CONFIGURATION = """\
daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location /static/ {{ alias {static}/; }} }}
}}
"""


@dataclass
class Contender:
    """A server, and the seconds that its runs took."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    payload: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)

    @property
    def memory(self) -> float:
        """Give the most memory it has had, in MB, with its children."""
        return sum(_peak(number) for number in _family(self.process.pid)) / 1024


def main() -> int:
    """Run the benchmark and print its table; return 0, or 1 when it could not be finished."""
    options = _options()
    try:
        print(_measure(options), end="")
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.payload", description="Measure beside nginx.")
    add = parser.add_argument
    add("--size", type=int, default=1024, metavar="MIB", help="size of the payload (1024)")
    add("--clients", type=int, default=20, metavar="N", help="clients at once (20)")
    add("--files", type=int, default=10_000, metavar="N", help="small files (10000)")
    add("--runs", type=int, default=3, metavar="N", help="runs of each (3)")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> str:
    if not shutil.which("nginx") or not shutil.which("curl"):
        raise BenchError("nginx and curl are needed: apt-get install nginx-light curl")
    with tempfile.TemporaryDirectory(prefix="bench-payload-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)  # nginx's workers are another user
        lists = _fill(folder, options)
        with _nginx(folder) as nginx, _ours(folder) as ours:
            for _ in range(options.runs):
                for server in (nginx, ours):
                    server.payload.append(_fetch(server, folder, ["big"] * options.clients))
                    server.small.append(_fetch(server, folder, lists))
            return _table(options, nginx, ours)


def _fill(folder: Path, options: argparse.Namespace) -> list[str]:
    static = folder / "static"
    static.mkdir()
    piece = os.urandom(1024 * 1024)
    with (static / "payload").open("wb") as file:
        for _ in range(options.size):
            file.write(piece)
    (folder / "big").write_text('url="http://127.0.0.1:PORT/static/payload"\noutput="/dev/null"\n')
    for number in range(options.files):
        (static / f"small-{number}").write_bytes(piece[:4096])
    names = [f"list-{number}" for number in range(options.clients)]
    for first, name in enumerate(names):
        lines = (
            f'url="http://127.0.0.1:PORT/static/small-{number}"\noutput="/dev/null"\n'
            for number in range(first, options.files, options.clients)
        )
        (folder / name).write_text("".join(lines))
    return names


def _fetch(server: Contender, folder: Path, lists: list[str]) -> float:
    """Let one curl for each list fetch at once, each over one connection; gives the seconds."""
    texts = {name: (folder / name).read_text() for name in set(lists)}
    for name, text in texts.items():
        (folder / f"{name}.curl").write_text(text.replace("PORT", str(server.port)))
    begun = time.monotonic()
    clients = [
        subprocess.Popen(["curl", "-s", "-f", "-K", str(folder / f"{name}.curl")]) for name in lists
    ]
    if any([client.wait() for client in clients]):
        raise BenchError(f"a client of {server.name} failed")
    return time.monotonic() - begun


@contextmanager
def _nginx(folder: Path) -> Iterator[Contender]:
    port = free_port()
    text = CONFIGURATION.format(folder=folder, port=port, static=folder / "static")
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with started("nginx", command, port) as server:
        yield server


@contextmanager
def _ours(folder: Path) -> Iterator[Contender]:
    port = free_port()
    command = [
        sys.executable, "-m", "crosprov.devserver", "--host", "127.0.0.1", "--port", str(port),
        "--static_dir", str(folder / "static"), "--logfile", str(folder / "log"),
    ]  # fmt: skip
    with started("crosprov devserver", command, port) as server:
        yield server


@contextmanager
def started(name: str, command: list[str], port: int) -> Iterator[Contender]:
    """Run a server in a block, from when it serves /static/small-0."""
    process = subprocess.Popen(command)
    try:
        _wait(name, port)
        yield Contender(name, port, process)
    finally:
        process.terminate()
        process.wait()


def _wait(name: str, port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/static/small-0", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise BenchError(f"{name} does not answer: {error}") from None
            time.sleep(0.05)


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(number: int) -> list[int]:
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [number, *map(int, children)]


def _peak(number: int) -> int:
    for line in Path(f"/proc/{number}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _table(options: argparse.Namespace, nginx: Contender, ours: Contender) -> str:
    total = options.size * options.clients / 1024
    lines = [
        f"| {total:g} GiB to {options.clients} clients, {options.files} small files "
        "| payload, GiB/s | small files, 1/s | memory, MB |",
        "|---|---|---|---|",
    ]
    for server in (nginx, ours):
        payload, small = statistics.median(server.payload), statistics.median(server.small)
        lines.append(
            f"| {server.name} | {total / payload:.2f} | {options.files / small:.0f} "
            f"| {server.memory:.0f} |"
        )
    ratios = [
        statistics.median(a / b for a, b in zip(theirs, mine, strict=True))
        for theirs, mine in ((nginx.payload, ours.payload), (nginx.small, ours.small))
    ]
    lines.append(f"| of nginx, pair by pair | {ratios[0]:.2f} | {ratios[1]:.2f} | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""The command lines that make a twin's disk and boot it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crosprov.twin import cgroups
from crosprov.twin.layers import STATEFUL
from crosprov.twin.names import Names
from crosprov.twin.record import Seat
from crosprov.twin.spec import Kind

_SSHD = "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e"


def mount(home: Path, kind: Path, rootfs: Path) -> tuple[str, ...]:
    """Return the command that mounts a twin's disk: its own layers on those it shares."""
    lower = ":".join(_escape(path, "\\,:") for path in (home / "layer", kind, rootfs))
    upper, work = (_escape(home / name, "\\,") for name in ("upper", "work"))
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    return ("mount", "-t", "overlay", "-o", options, "overlay", str(home / "root"))


def arguments(names: Names, seat: Seat, home: Path) -> list[str]:
    """Return the nspawn command that boots a twin from its mounted disk."""
    argv = [
        "systemd-nspawn",
        "--quiet",
        f"--directory={home / 'root'}",
        f"--machine={names.machine(seat.number)}",
        f"--hostname={seat.host.name}",
        f"--network-namespace-path=/run/netns/{names.namespace(seat.number)}",
        *("--register=no", "--settings=no", "--link-journal=no"),
        *("--resolv-conf=off", "--timezone=off", "--console=read-only"),
    ]
    if not cgroups.is_managed():
        argv.append("--keep-unit")
    return [*argv, *_BY_KIND[seat.host.kind](home)]


def _server(home: Path) -> list[str]:
    return [
        "--boot",
        "--capability=all",
        "--system-call-filter=@keyring bpf",
        _bind(home / "docker", "/var/lib/docker"),
        _bind(home / "archives", "/var/cache/apt/archives"),
    ]


def _dut(home: Path) -> list[str]:
    return [
        "--read-only",
        "--tmpfs=/tmp:mode=1777,noexec,nosuid,nodev",
        "--tmpfs=/var:mode=755",
        _bind(home / "stateful", STATEFUL),
        _bind(home / "stateful/dev_image", "/usr/local"),
        _bind(home / "crossystem", "/etc/crosprov-twin/crossystem"),
        _bind(home / "disk", "/etc/crosprov-twin/disk"),
        "--as-pid2",
        "/usr/lib/crosprov-twin/boot",
    ]


def _light(home: Path) -> list[str]:
    archives = _bind(home / "archives", "/var/cache/apt/archives")
    return [archives, "--as-pid2", "/bin/sh", "-c", _SSHD]


_BY_KIND: dict[Kind, Callable[[Path], list[str]]] = {
    Kind.SERVER: _server,
    Kind.DUT: _dut,
    Kind.LIGHT: _light,
}


def _bind(source: Path, target: str) -> str:
    return f"--bind={_escape(source, ':')}:{target}"


def _escape(path: Path, special: str) -> str:
    return "".join(f"\\{char}" if char in special else char for char in str(path))

"""What a twin has beyond the shared root file system, as overlay layers below its own disk.

A kind's layer holds what makes a server or a DUT, a host's layer its identity: names, keys,
users. The upper directory above them then holds exactly what was written since it was
switched on.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files as package_files
from pathlib import Path

from crosprov.twin.capabilities import runc
from crosprov.twin.files import Tree
from crosprov.twin.record import LabRecord, Seat
from crosprov.twin.spec import Kind, TwinHost

# Controllers are mounted read-only in a container of a machine with cgroup v1, and Docker
# needs to write there. A plain remount answers "busy"; a bind remount does not.
_CGROUP_UNIT = """\
[Unit]
Description=Let Docker manage control groups inside this twin
DefaultDependencies=no
Before=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for d in /sys/fs/cgroup/*/; do\
 ! mountpoint -q "$d" || mount -o remount,bind,rw "$d" || :; done'

[Install]
WantedBy=sysinit.target
"""

# Nothing may write on a twin by itself: the upper directory would no longer show what a run
# wrote, and apt would be busy at times that nobody chose.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
)

_SSHD = """\
UseDNS no
MaxStartups 200
MaxSessions 100
PermitRootLogin prohibit-password
PasswordAuthentication no
"""

_DUT_LIBRARY = "/usr/lib/crosprov-twin"

_DUT_TOOLS = {
    "crossystem": "/usr/bin/crossystem",
    "initctl": "/usr/sbin/initctl",
    "reboot": "/usr/sbin/reboot",
    "update_engine": "/usr/sbin/update_engine",
    "update_engine_client": "/usr/bin/update_engine_client",
    "boot": f"{_DUT_LIBRARY}/boot",
    "engine.sh": f"{_DUT_LIBRARY}/engine.sh",
    "install.sh": f"{_DUT_LIBRARY}/install.sh",
    "omaha.sh": f"{_DUT_LIBRARY}/omaha.sh",
    "properties.sh": f"{_DUT_LIBRARY}/properties.sh",
}

_UPDATE_ENGINE_JOB = """\
description "System software update service"
exec /usr/sbin/update_engine
"""

# What Debian has and a ChromiumOS image does not.
_NOT_ON_A_DUT = (
    *("apt", "apt-cache", "apt-cdrom", "apt-config", "apt-get", "apt-key", "apt-mark"),
    *("dpkg", "dpkg-deb", "dpkg-divert", "dpkg-maintscript-helper", "dpkg-query"),
    *("dpkg-realpath", "dpkg-split", "dpkg-statoverride", "dpkg-trigger"),
    *("deb-systemd-helper", "deb-systemd-invoke", "perl", "lsb_release", "busctl"),
    *("journalctl", "loginctl", "systemctl", "systemd-run", "timedatectl", "hostnamectl"),
)
_ELSEWHERE_NOT_ON_A_DUT = (
    *("/usr/sbin/service", "/usr/sbin/invoke-rc.d", "/etc/debian_version"),
    "/usr/lib/openssh/sftp-server",  # old images have none, and nothing may need it
)

STATEFUL = "/mnt/stateful_partition"


def write_kind(root: Path, kind: Kind) -> None:
    """Write the layer that all twins of one kind share."""
    tree = Tree(root)
    tree.directory("/etc/ssh/sshd_config.d")
    if kind is Kind.SERVER:
        unit = "/etc/systemd/system/crosprov-twin-cgroups.service"
        tree.file(unit, _CGROUP_UNIT)
        tree.file(
            "/etc/systemd/journald.conf.d/crosprov-twin.conf", "[Journal]\nStorage=volatile\n"
        )
        if program := runc():
            tree.file("/usr/local/sbin/runc", program, 0o755)
        for name in _MASKED:
            tree.symlink(f"/etc/systemd/system/{name}", to="/dev/null")
        tree.symlink(f"/etc/systemd/system/sysinit.target.wants/{unit.rsplit('/')[-1]}", to=unit)
    elif kind is Kind.DUT:
        _write_dut(tree)


def _write_dut(tree: Tree) -> None:
    sources = package_files("crosprov.twin") / "dut"
    for name, path in _DUT_TOOLS.items():
        tree.file(path, (sources / name).read_bytes(), 0o755)
    for verb in ("start", "stop", "restart", "status"):
        tree.symlink(f"/usr/sbin/{verb}", to="initctl")
    tree.file("/etc/init/update-engine.conf", _UPDATE_ENGINE_JOB)
    tree.file("/etc/profile", "PATH=/usr/bin:/bin:/usr/sbin:/sbin\nexport PATH\n")
    tree.file("/etc/os-release", "NAME=Chrome OS\nID=chromeos\nID_LIKE=chromiumos\n")
    tree.directory(STATEFUL)
    for name in _NOT_ON_A_DUT:
        tree.hide(f"/usr/bin/{name}")
    for path in _ELSEWHERE_NOT_ON_A_DUT:
        tree.hide(path)


def write_host(root: Path, record: LabRecord, seat: Seat, *, login_key: str) -> None:
    """Write the layer that makes a twin itself; `login_key` is the lab's public key."""
    tree, host = Tree(root), seat.host
    tree.file("/etc/hostname", f"{host.name}\n")
    tree.file("/etc/hosts", hosts_file(record))
    tree.file("/etc/resolv.conf", _resolvers())
    identity = hashlib.sha256(f"{root}\0{host.name}".encode()).hexdigest()[:32]
    tree.file("/etc/machine-id", f"{identity}\n")
    tree.file("/etc/ssh/sshd_config.d/crosprov-twin.conf", sshd_config(host))
    tree.directory("/root", 0o700)
    tree.directory("/root/.ssh", 0o700)
    tree.file("/root/.ssh/authorized_keys", f"{login_key}\n", 0o600)
    if host.kind is Kind.DUT:
        tree.file("/etc/lsb-release", lsb_release(host.board))
        tree.directory("/etc/crosprov-twin/disk")
        tree.file("/etc/crosprov-twin/crossystem", "")
    elif host.kind is Kind.SERVER:
        tree.directory("/var/lib/docker", 0o710)


def hosts_file(record: LabRecord) -> str:
    """Name every twin of the lab: the inventory's name and, where it is one, its address."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    for seat in record.seats:
        names = [seat.host.name]
        if seat.host.ipv4 is None and seat.host.address != seat.host.name:
            names.insert(0, seat.host.address)
        lines.append(f"{seat.lab_address} {' '.join(names)}")
    return "\n".join(lines) + "\n"


def sshd_config(host: TwinHost) -> str:
    """Return the twin's part of the SSH server's configuration."""
    if host.kind is Kind.DUT:
        key = f"{STATEFUL}/etc/ssh/ssh_host_ed25519_key"
        path = "PATH=/usr/bin:/bin:/usr/sbin:/sbin"
        return f"{_SSHD}HostKey {key}\nUsePAM no\nSetEnv {path}\n"
    pam = "UsePAM no\n" if host.kind is Kind.LIGHT else ""
    return f"{_SSHD}HostKey /etc/ssh/ssh_host_ed25519_key\n{pam}"


def lsb_release(board: str) -> str:
    """Return the release file of a test image; the version is an invented one."""
    values = {
        "CHROMEOS_AUSERVER": "http://build.example.com:8080/update",
        "CHROMEOS_DEVSERVER": "http://build.example.com:8080",
        "CHROMEOS_RELEASE_APPID": "{01234567-89AB-CDEF-0123-456789ABCDEF}",
        "CHROMEOS_RELEASE_BOARD": board,
        "CHROMEOS_RELEASE_BRANCH_NUMBER": "0",
        "CHROMEOS_RELEASE_BUILDER_PATH": f"{board}-release/R120-15662.0.0",
        "CHROMEOS_RELEASE_BUILD_NUMBER": "15662",
        "CHROMEOS_RELEASE_BUILD_TYPE": "Test Build - twin",
        "CHROMEOS_RELEASE_CHROME_MILESTONE": "120",
        "CHROMEOS_RELEASE_DESCRIPTION": f"15662.0.0 (Test Build - twin) {board}",
        "CHROMEOS_RELEASE_NAME": "Chromium OS",
        "CHROMEOS_RELEASE_PATCH_NUMBER": "0",
        "CHROMEOS_RELEASE_TRACK": "testimage-channel",
        "CHROMEOS_RELEASE_VERSION": "15662.0.0",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _resolvers() -> str:
    # A resolver on this machine's loopback (systemd-resolved's stub) is out of a twin's reach.
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
        if any(not server.startswith(("127.", "::1")) for server in servers):
            return text
    return "# this machine has no name server that a twin can reach\n"

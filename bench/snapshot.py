"""The truth about a host, read from its disk and not over the connection of a contender."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import desired
from bench.lab import BenchLab

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What each host is, and when the files that matter were last touched."""

    facts: dict[str, Facts]
    touched: dict[str, dict[str, int]]


def take(lab: BenchLab) -> Snapshot:
    """Look at every host's disk."""
    paths = [d.path for d in desired.DIRECTORIES] + [f.path for f in desired.FILES]
    paths += [desired.LINK[0], desired.LINE[0], "/etc/passwd", "/var/lib/dpkg/status"]
    return Snapshot(
        {name: _facts(lab.disk(name)) for name in lab.names},
        {
            name: {path: _stat(lab.disk(name), path).st_ctime_ns for path in paths}
            for name in lab.names
        },
    )


def differences(found: Snapshot) -> list[str]:
    """List what is not as desired, one sentence each; empty when every host converged."""
    wanted = _wanted()
    return [
        f"{host}: {what} is {facts.get(what, 'missing')}, should be {value}"
        for host, facts in found.facts.items()
        for what, value in wanted.items()
        if facts.get(what) != value
    ]


def _wanted() -> Facts:
    facts = {f"directory {d.path}": f"{d.mode} {d.owner}:{d.owner}" for d in desired.DIRECTORIES}
    facts |= {f"file {f.path}": f"{f.mode} {f.owner}:{f.owner} {f.sha256}" for f in desired.FILES}
    facts[f"link {desired.LINK[0]}"] = desired.LINK[1]
    path, key, value = desired.LINE
    facts[f"line in {path}"] = f"{key}={value}"
    facts[f"user {desired.USER}"] = desired.SHELL
    facts |= {f"package {name}": "install ok installed" for name in desired.PACKAGES}
    return facts


def _facts(disk: Sequence[Path]) -> Facts:
    owners = _owners(disk)
    facts: Facts = {}
    for directory in desired.DIRECTORIES:
        if (path := _find(disk, directory.path)) and path.is_dir():
            facts[f"directory {directory.path}"] = _access(path, owners)
    for file in desired.FILES:
        if (path := _find(disk, file.path)) and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            facts[f"file {file.path}"] = f"{_access(path, owners)} {digest}"
    if (path := _find(disk, desired.LINK[0])) and path.is_symlink():
        facts[f"link {desired.LINK[0]}"] = os.readlink(path)
    where, key, _ = desired.LINE
    lines = [line for line in _text(disk, where).splitlines() if line.startswith(f"{key}=")]
    facts[f"line in {where}"] = "\n".join(lines)
    for line in _text(disk, "/etc/passwd").splitlines():
        if line.startswith(f"{desired.USER}:"):
            facts[f"user {desired.USER}"] = line.split(":")[6]
    return facts | _packages(_text(disk, "/var/lib/dpkg/status"))


def _packages(status: str) -> Facts:
    facts = {}
    for stanza in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if fields.get("Package") in desired.PACKAGES:
            facts[f"package {fields['Package']}"] = fields["Status"]
    return facts


def _owners(disk: Sequence[Path]) -> tuple[dict[int, str], dict[int, str]]:
    tables = []
    for name in ("/etc/passwd", "/etc/group"):
        rows = [line.split(":") for line in _text(disk, name).splitlines()]
        tables.append({int(row[2]): row[0] for row in rows if len(row) > 2})
    return tables[0], tables[1]


def _access(path: Path, owners: tuple[dict[int, str], dict[int, str]]) -> str:
    users, groups = owners
    found = path.lstat()
    user = users.get(found.st_uid, str(found.st_uid))
    group = groups.get(found.st_gid, str(found.st_gid))
    return f"{stat.S_IMODE(found.st_mode):04o} {user}:{group}"


def _stat(disk: Sequence[Path], path: str) -> os.stat_result:
    found = _find(disk, path)
    return found.lstat() if found else os.stat_result((0,) * 10)


def _find(disk: Sequence[Path], path: str) -> Path | None:
    candidates = (layer / path.lstrip("/") for layer in disk)
    return next((found for found in candidates if os.path.lexists(found)), None)


def _text(disk: Sequence[Path], path: str) -> str:
    found = _find(disk, path)
    return found.read_text(errors="replace") if found else ""

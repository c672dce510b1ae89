"""Judge before anything is changed whether a host can be the factory server that is wanted.

Figures are those of the factory server's setup guide: at least 2 GB of memory and 256 GB of
storage, 16 GB and 4 TB for a large line, x86-64, a disk with a GPT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from crosprov.facts.containers import OLD
from crosprov.facts.factory_host import Clock, FactoryHostState, FileSystem

_GB = 10**9
_SHORT = 0.9  # of what is written on a module or disk: firmware, kernel, file system keep the rest
_MINIMAL = (2 * _GB, 256 * _GB)  # memory, storage
_RECOMMENDED = (16 * _GB, 4000 * _GB)
_SPARE = _GB  # bytes that shall stay free beyond what is loaded
_MACHINES = ("x86_64", "amd64")

# The image brings a Docker client of 1.10.3, which speaks API 1.22 (setup/Dockerfile).
OLDEST_DOCKER = (1, 10, 3)
CLIENT_API = (1, 22)
_API_HINT = (
    "Docker 24 and older do: Debian 12 has 20.10 as docker.io, and the role docker takes a "
    "`repository` or `package_files` of such a version"
)

Remark = tuple[str, str | None]
"""A sentence, and a hint where there is a remedy."""

_NOT_ROOT: Remark = (
    "whether the host can be a factory server must be asked as root",
    "log in as root, or set ssh.sudo: true",
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A port that the factory server shall have; `key` is where the inventory says so.

    One of UDP is taken by a container that has the network of its host, `udp_of`.
    """

    port: int
    what: str
    key: str
    udp_of: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What of a factory server depends on its host."""

    profile: Literal["small", "minimal", "premium"]
    shared_dir: str
    docker_root: str
    ports: tuple[Claimed, ...] = ()
    loads: Mapping[str, int] = field(default_factory=dict)  # bytes that come to a folder
    own: frozenset[str] = frozenset()  # containers of this factory server


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stands in the way, and what is worth knowing."""

    problems: tuple[Remark, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(intent: Intent, seen: FactoryHostState) -> Verdict:
    """Compare a host with what is wanted of it; everything is said at once."""
    if seen.system != "Linux":
        return Verdict(problems=(_system(seen),))
    if not seen.root:
        # What holds a port, and Docker itself, is told to root only: nothing else would be true.
        return Verdict(problems=(_NOT_ROOT,))
    problems = [*_machine(seen), *_docker(seen), *_ports(intent, seen), *_space(intent, seen)]
    warnings: list[str] = []
    if intent.profile == "small":
        warnings.append("profile small is for trials: memory and storage were not checked")
    else:
        for what, have, least, recommended in _figures(intent, seen):
            if have < least * _SHORT:
                problems.append(_too_little(what, have, least, intent))
            elif intent.profile == "premium" and have < recommended * _SHORT:
                warnings.append(
                    f"the host has {_size(have)} of {what}, and {_size(recommended)} are "
                    "recommended for profile premium"
                )
    warnings += _warnings(intent, seen)
    return Verdict(tuple(problems), tuple(warnings))


def docker_problem(server: str, oldest_api: str) -> Remark | None:
    """Say why a version of Docker cannot serve the image, None when it can."""
    if server and version_of(server) < OLDEST_DOCKER:
        return f"Docker is {server}, and the factory server needs 1.10.3 or newer", "update Docker"
    if oldest_api and version_of(oldest_api) > CLIENT_API:
        return (
            f"Docker {server} speaks API {oldest_api} and newer, and the client in the factory "
            "server's image speaks 1.22: Dome could not start an Umpire",
            _API_HINT,
        )
    return None


def version_of(text: str) -> tuple[int, ...]:
    """Read the numbers that a version begins with: 20.10.24+dfsg1 is (20, 10, 24)."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _system(seen: FactoryHostState) -> Remark:
    if seen.system == "Darwin":
        return (
            "the host runs macOS, where crosprov sets up no factory server",
            "run `cros_docker.sh` there by hand; its data is then in $HOME/cros_docker",
        )
    return f"the host runs {seen.system or 'an unknown system'}, not Linux", None


def _machine(seen: FactoryHostState) -> Iterator[Remark]:
    if seen.machine not in _MACHINES:
        yield f"the host is {seen.machine}, and the factory server's image is for x86-64", None


def _docker(seen: FactoryHostState) -> Iterator[Remark]:
    problem = docker_problem(seen.server, seen.oldest_api)
    if problem is not None:
        yield problem


def _ports(intent: Intent, seen: FactoryHostState) -> Iterator[Remark]:
    """Say which ports others have; one that a container publishes is that container's."""
    taken: dict[tuple[str, str, str], list[int]] = {}
    for claimed in intent.ports:
        holder = _holder(claimed, intent, seen)
        if holder is not None:
            taken.setdefault((claimed.what, claimed.key, holder), []).append(claimed.port)
    for (what, key, holder), ports in taken.items():
        words = "port" if len(ports) == 1 else "ports"
        verb = "is" if len(ports) == 1 else "are"
        numbers = ", ".join(map(str, ports))
        yield (
            f"{words} {numbers} of {what} {verb} taken by {holder}",
            f"write another `{key}`, or stop what listens there",
        )


def _holder(claimed: Claimed, intent: Intent, seen: FactoryHostState) -> str | None:
    """Name who else has a port, None when nobody has."""
    if claimed.udp_of:
        programs = {} if claimed.udp_of in seen.running else seen.datagrams
    else:
        programs = seen.programs
        container = seen.containers.get(claimed.port)
        if container is not None:
            own = container.removesuffix(OLD) in intent.own
            return None if own else f"the container {container}"
    program = programs.get(claimed.port)
    return None if program is None else program or "another program"


def _space(intent: Intent, seen: FactoryHostState) -> Iterator[Remark]:
    """Add up what comes to each file system, and compare it with what is free there."""
    coming: dict[str, list[str]] = {}
    for path, size in intent.loads.items():
        if size and path in seen.places:
            coming.setdefault(seen.places[path].device, []).append(path)
    for paths in coming.values():
        need = sum(intent.loads[path] for path in paths) + _SPARE
        free = seen.places[paths[0]].free
        if free < need:
            yield (
                f"{_size(free)} are free for {' and '.join(sorted(paths))}, and {_size(need)} are "
                "needed for what is to be loaded",
                "make room, or give it a larger disk",
            )


def _figures(intent: Intent, seen: FactoryHostState) -> Iterator[tuple[str, int, int, int]]:
    """Give what there is of memory and storage, with its two limits; nothing that is unknown."""
    have = seen.memory, _storage(intent, seen)
    for what, number, least, recommended in zip(
        ("memory", "storage"), have, _MINIMAL, _RECOMMENDED, strict=True
    ):
        if number:
            yield what, number, least, recommended


def _too_little(what: str, have: int, least: int, intent: Intent) -> Remark:
    return (
        f"the host has {_size(have)} of {what}, and a factory server needs {_size(least)}",
        f"profile {intent.profile} asks for that; profile: small is for trials",
    )


def _storage(intent: Intent, seen: FactoryHostState) -> int:
    """Add up the file systems that hold its data, each one once.

    One whose device `df` does not name, like an overlay, has the figures of the disk below it:
    of the same size as another one it is taken for the same.
    """
    data = (seen.places.get(path) for path in (intent.shared_dir, intent.docker_root))
    found: dict[str, FileSystem] = {place.device: place for place in data if place is not None}
    named = [place.size for device, place in found.items() if device.startswith("/")]
    unnamed = {place.size for device, place in found.items() if not device.startswith("/")}
    return sum(named) + sum(unnamed - set(named))


def _warnings(intent: Intent, seen: FactoryHostState) -> Iterator[str]:
    if seen.table == "dos":
        yield (
            f"the disk of {intent.shared_dir} has an MBR, and a factory server's should have a GPT"
        )
    if seen.clock is Clock.WRONG:
        yield (
            "the clock of the host is not synchronised, and reports carry its time: "
            "`timedatectl set-ntp true`"
        )
    if seen.localtime == "directory":
        yield (
            "/etc/localtime is a folder, which Docker makes when it mounts a missing file: remove "
            "it and set the zone again with `timedatectl set-timezone`"
        )
    elif seen.localtime == "missing":
        yield "the host has no time zone, so reports will be in UTC: `timedatectl set-timezone`"
    for path in sorted(set(seen.places) & {intent.shared_dir, intent.docker_root}):
        if seen.places[path].free < _SPARE:
            yield f"less than {_size(_SPARE)} is free for {path}"


def _size(value: int) -> str:
    if value >= 1000 * _GB:
        return f"{value / 1000 / _GB:g} TB"
    return f"{round(value / _GB, 1):g} GB"

"""Ask a host whether it can be a factory server, in one question."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pyinfra.api import FactBase

_PORTS = re.compile(r"(?:^|:)(\d+)(?:-(\d+))?->\S+/tcp$")
_PROGRAM = re.compile(r'\(\("([^"]+)"')
_MB = 10**6


class Clock(StrEnum):
    """Whether something keeps the clock right."""

    SYNCHRONISED = "yes"
    WRONG = "no"
    OF_ITS_HOST = "container"  # a container has the clock of the machine that it runs on
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system of a folder; sizes are in bytes, in steps of 100 MB."""

    device: str
    size: int
    free: int


@dataclass(frozen=True, slots=True)
class FactoryHostState:
    """What was observed of a host; "" is what could not be asked."""

    system: str = "Linux"
    root: bool = True  # whether it was asked as root, without whom Docker says nothing
    machine: str = "x86_64"
    memory: int = 0  # bytes, in steps of 100 MB
    places: Mapping[str, FileSystem] = field(
        default_factory=dict
    )  # by the folder that was asked for
    table: str = ""  # of the disk of the shared folder: gpt, dos
    clock: Clock = Clock.UNKNOWN
    localtime: str = "file"  # what is at /etc/localtime: file, missing, directory
    docker: str = "none"  # ok; down, when it does not answer; none
    server: str = ""  # Docker's version
    oldest_api: str = ""  # the oldest that it speaks
    programs: Mapping[int, str] = field(default_factory=dict)  # what listens, by port
    datagrams: Mapping[int, str] = field(default_factory=dict)  # the same of UDP
    containers: Mapping[int, str] = field(default_factory=dict)  # what publishes, by port
    running: frozenset[str] = frozenset()  # containers


# `ss` may look into all processes only as root; without it /proc tells that a port is taken.
_QUESTION = r"""echo "system $(uname -s)"; echo "user $(id -u)"; echo "machine $(uname -m)"
awk '$1 == "MemTotal:" {{ printf "memory %d\n", $2 * 1024 / 100000000 + 0.5 }}' /proc/meminfo
for p in {places}; do
  d=$p
  while [ ! -d "$d" ]; do d=${{d%/*}}; d=${{d:-/}}; done
  df -Pk "$d" | awk -v d="$(stat -c %d "$d")" 'NR == 2 {{
    printf "place %s %d %d ", $1 ~ /^\// ? $1 : d, $2 * 1024 / 1e8 + 0.5, $4 * 1024 / 1e8 }}'
  echo "$p"
done
s={shared}
while [ ! -d "$s" ]; do s=${{s%/*}}; s=${{s:-/}}; done
b=$(df -P "$s" | awk 'NR == 2 {{ print $1 }}')
[ ! -b "$b" ] || lsblk -sno PTTYPE "$b" 2>/dev/null | sed -n 's/^ *\(..*\)/table \1/p'
if systemd-detect-virt -cq 2>/dev/null; then echo clock container
else
  c=$(timeout 5 timedatectl show -p NTPSynchronized --value 2>/dev/null)
  echo "clock ${{c:-unknown}}"
fi
if [ -d /etc/localtime ]; then echo localtime directory
elif [ ! -e /etc/localtime ]; then echo localtime missing; fi
if command -v ss >/dev/null 2>&1; then
  ss -Hltnp '{filter}' 2>/dev/null | awk '{{ print "listens", $4, $6 }}' | sort -u
  {heard}
else
  awk '$4 == "0A" {{ sub(/.*:/, "", $2); print "hex", $2 }}' /proc/net/tcp /proc/net/tcp6 \
    2>/dev/null | sort -u
fi
if ! command -v docker >/dev/null 2>&1; then echo docker none
elif ! v=$(docker version -f '{{{{.Server.Version}}}}' 2>/dev/null); then echo docker down
else
  echo docker ok; echo "server $v"
  echo "oldest_api $(docker version -f '{{{{.Server.MinAPIVersion}}}}' 2>/dev/null)"
  docker ps --format '{{{{.Names}}}} {{{{.Ports}}}}' | sort | sed 's/^/publishes /'
fi"""

_HEARS = '{ print "hears", $4, $6 }'


class FactoryHostFact(FactBase[FactoryHostState]):
    """Observe a host for the preflight of a factory server.

    `shared` is the shared folder, `places` are folders whose file systems are measured, `ports`
    those that matter, `datagrams` those of UDP. It only warns and refuses: a plan stays good
    while free space moves.
    """

    title = "factory server's host"
    decides = False

    def command(
        self,
        shared: str,
        places: Sequence[str],
        ports: Sequence[int],
        datagrams: Sequence[int] = (),
    ) -> str:
        heard = f"ss -Hlunp '{_filter(datagrams)}' 2>/dev/null | awk '{_HEARS}' | sort -u"
        return _QUESTION.format(
            shared=shlex.quote(shared),
            places=" ".join(map(shlex.quote, places)),
            filter=_filter(ports),
            heard=heard if datagrams else ":",
        )

    @staticmethod
    def default() -> FactoryHostState:
        return FactoryHostState()

    def process(self, output: list[str]) -> FactoryHostState:
        said: dict[str, list[str]] = {}
        for line in output:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        last = {word: values[-1].strip() for word, values in said.items()}
        clock = last.get("clock", "")
        return FactoryHostState(
            system=last.get("system", ""),
            root=last.get("user", "0") == "0",
            machine=last.get("machine", ""),
            memory=int(last.get("memory", "0")) * 100 * _MB,
            places=dict(_place(rest) for rest in said.get("place", ())),
            table=last.get("table", ""),
            clock=Clock(clock) if clock in set(Clock) else Clock.UNKNOWN,
            localtime=last.get("localtime", "file"),
            docker=last.get("docker", "none"),
            server=last.get("server", ""),
            oldest_api=last.get("oldest_api", ""),
            programs=dict(_listening(said.get("listens", ()), said.get("hex", ()))),
            datagrams=dict(_listening(said.get("hears", ()))),
            running=frozenset(rest.partition(" ")[0] for rest in said.get("publishes", ())),
            containers=dict(
                pair for rest in said.get("publishes", ()) for pair in _published(rest)
            ),
        )


def _place(rest: str) -> tuple[str, FileSystem]:
    device, size, free, path = rest.split(" ", 3)
    return path, FileSystem(device, int(size) * 100 * _MB, int(free) * 100 * _MB)


def _filter(ports: Sequence[int]) -> str:
    return " or ".join(f"sport = :{port}" for port in ports) or "sport = :0"


def _listening(told: Sequence[str], ports: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Read what `ss` or /proc says: ports with their programs, "" where that is not known."""
    found = [(int(rest, 16), "") for rest in ports]
    for rest in told:
        address, _, users = rest.partition(" ")
        program = _PROGRAM.search(users)
        found.append((int(address.rpartition(":")[2]), program[1] if program else ""))
    return found


def _published(rest: str) -> list[tuple[int, str]]:
    """Read a line of `docker ps`: a name, and ports like `0.0.0.0:8000-8001->80-81/tcp`."""
    name, _, words = rest.partition(" ")
    found = (_PORTS.search(word.strip()) for word in words.split(","))
    ranges = ((int(match[1]), int(match[2] or match[1])) for match in found if match)
    return [(port, name) for first, last in ranges for port in range(first, last + 1)]

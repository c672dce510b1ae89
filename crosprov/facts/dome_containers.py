"""Ask Docker for the two containers of Dome, in the words in which they are compared.

Both sides compare the same lines, KEY, tab, VALUE: the plan, and the script that looks again.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from pyinfra.api import FactBase

from crosprov.facts.container_names import DOME, NGINX, UWSGI
from crosprov.facts.containers import OLD
from crosprov.facts.dome import DATABASE

WANTED_IMAGE = "current"  # instead of an id: the one that the image's name points at
RUN_VOLUME = "shared"  # instead of the name of the volume that dome_uwsgi made for /run

_TAB = '{{"\\t"}}'
_LINE = '{{"\\n"}}{{$n}} '
_FORMAT = (
    "{{$n := .Name}}"
    + f"{{{{$n}}}} state{_TAB}{{{{.State.Status}}}}"
    + f"{_LINE}image{_TAB}{{{{.Image}}}}"
    + f"{_LINE}restart{_TAB}{{{{.HostConfig.RestartPolicy.Name}}}}"
    + f"{_LINE}command{_TAB}{{{{json .Config.Cmd}}}}"
    + f"{{{{range .Config.Env}}}}{_LINE}env{_TAB}{{{{.}}}}{{{{end}}}}"
    + f"{{{{range .Mounts}}}}{_LINE}mount {{{{.Destination}}}}{_TAB}"
    + "{{if .Name}}{{.Name}}{{else}}{{.Source}}{{end}}{{if not .RW}} read-only{{end}}{{end}}"
    + f"{{{{range $p, $b := .HostConfig.PortBindings}}}}{_LINE}port {{{{$p}}}}{_TAB}"
    + "{{json $b}}{{end}}"
)

_RUN = '{{range .Mounts}}{{if eq .Destination "/run"}}{{.Name}}{{end}}{{end}}'

# Mounts come in any order, and the environment also has what is the image's own.
OBSERVE_FUNCTION = f"""
observe() {{ # IMAGE: what Dome's containers are made of, in lines
  vol=$(docker container inspect -f {shlex.quote(_RUN)} {UWSGI} 2>/dev/null)
  docker container inspect -f {shlex.quote(_FORMAT)} {UWSGI} {NGINX} 2>/dev/null |
    img=$(docker image inspect -f '{{{{.Id}}}}' "$1" 2>/dev/null) vol=$vol awk -F '\\t' '
      {{ sub(/^[/]/, "", $1) }}
      $1 ~ / env$/ {{ if ($2 !~ /^HOST_/) next
        n = index($2, "="); $1 = $1 " " substr($2, 1, n - 1); $2 = substr($2, n + 1) }}
      $1 ~ / port / && sub(/^[[][{{]"HostIp":"","HostPort":"/, "", $2) {{
        sub(/"[}}][]]$/, "", $2) }}
      $1 ~ / image$/ && $2 == ENVIRON["img"] {{ $2 = "{WANTED_IMAGE}" }}
      $1 ~ / mount / && $2 == ENVIRON["vol"] {{ $2 = "{RUN_VOLUME}" }}
      NF > 1 {{ print $1 "\\t" $2 }}' | LC_ALL=C sort
}}
"""

SOCKET = "/var/run/docker.sock"
PROCESSES = "/proc"

# A container keeps the socket that it was made or started with. Docker makes another one when
# docker.socket starts, and with live-restore the container goes on beside it. Where the mount is,
# behind whatever links the image has, the kernel tells.
_STALE = r"""
stale() {{ # CONTAINER: whether the socket in it is another one than the host's
  pid=$(docker container inspect -f '{{{{.State.Pid}}}}' "$1" 2>/dev/null) && [ "$pid" != 0 ] &&
    at=$(awk '$5 ~ /[/]docker[.]sock$/ {{ print $5; exit }}' {processes}/"$pid"/mountinfo \
      2>/dev/null) && [ -n "$at" ] &&
    inside=$(stat -c %d:%i "{processes}/$pid/root$at" 2>/dev/null) &&
    outside=$(stat -L -c %d:%i {socket} 2>/dev/null) && [ "$inside" != "$outside" ]
}}
"""


def stale_function() -> str:
    """Define `stale CONTAINER`: it runs, and talks to a socket of Docker that is gone."""
    return _STALE.format(processes=PROCESSES, socket=SOCKET)


_KEEPS = (
    "{{range .Mounts}}"
    f'{{{{if eq .Destination "{DATABASE}"}}}}{{{{.Source}}}}{{{{end}}}}'
    '{{if eq .Destination "/var/db/factory/umpire"}}{{.Source}}{{end}}{{println}}{{end}}'
)
# Of Dome: SHARED/dome/db.sqlite3 and SHARED/umpire; of an Umpire: SHARED/umpire/PROJECT.
ELSEWHERE_FUNCTION = f"""
elsewhere() {{ # DATABASE: another one with data, of which containers on the host are
  docker container inspect -f {shlex.quote(_KEEPS)} {" ".join(DOME)} \
    {" ".join(name + OLD for name in DOME)} \
    $(docker ps -a --filter name=umpire_ --format '{{{{.Names}}}}' 2>/dev/null) 2>/dev/null |
    sed -n 's:/dome/db[.]sqlite3$::p; t; s:/umpire$::p; t; s:/umpire/[^/]*$::p' | LC_ALL=C sort -u |
    while read -r folder; do
      kept=$folder/dome/db.sqlite3
      if [ "$kept" != "$1" ] && [ -s "$kept" ]; then printf '%s\n' "$folder"; break; fi
    done
}}
"""

_QUESTION = r"""
if [ -f {database} ]; then echo 'database file'; elif [ -e {database} ] || [ -L {database} ]; then
  echo 'database other'; else echo 'database absent'; fi
for f in {database}.before-*; do [ ! -e "$f" ] || echo "copy ${{f##*.before-}}"; done
[ ! -e {mark} ] || echo due
[ ! -e {phase} ] || echo cut
if ! command -v docker >/dev/null 2>&1; then echo docker none; exit 0; fi
if ! docker ps -q >/dev/null 2>&1; then echo docker down; exit 0; fi
echo docker ok
[ "$(docker info -f '{{{{.LiveRestoreEnabled}}}}' 2>/dev/null)" != true ] || echo live
docker container inspect -f 'old {{{{.Name}}}}' {old} 2>/dev/null
for n in {names}; do if stale "$n"; then echo "stale $n"; fi; done
if [ ! -e {database} ]; then elsewhere {database} | sed 's/^/elsewhere /'; fi
observe {image} | sed 's/^/is /'
"""


@dataclass(frozen=True, slots=True)
class DomeContainers:
    """What was observed of Dome's containers and its database."""

    docker: str = "none"  # ok; down, when it does not answer; none
    lines: dict[str, str] = field(default_factory=dict)  # `dome_nginx port 80/tcp`: `8000`
    database: str = "absent"  # file, absent, other
    copies: tuple[str, ...] = ()  # versions before whose first run the database was copied
    leftovers: tuple[str, ...] = ()  # containers that were put aside
    stale: tuple[str, ...] = ()  # containers that talk to a socket of Docker that is gone
    elsewhere: str = ""  # another shared folder, which has data and containers
    live_restore: bool = False  # containers go on while Docker is down
    cut: bool = False  # a replacement was cut short
    due: bool = False  # a restart is due

    def has(self, name: str) -> bool:
        """Tell whether a container is there."""
        return f"{name} state" in self.lines

    def status(self, name: str) -> str:
        """Give a container's status, like running or exited; "" when it is not there."""
        return self.lines.get(f"{name} state", "")


class DomeContainersFact(FactBase[DomeContainers]):
    """Observe Dome's containers; `phase` and `mark` are the paths of crosprov's records."""

    title = "containers of Dome with"

    def command(self, database: str, image: str, mark: str, phase: str) -> str:
        functions = OBSERVE_FUNCTION + stale_function() + ELSEWHERE_FUNCTION
        return functions + _QUESTION.format(
            database=shlex.quote(database),
            image=shlex.quote(image),
            mark=shlex.quote(mark),
            phase=shlex.quote(phase),
            old=" ".join(name + OLD for name in DOME),
            names=" ".join(DOME),
        )

    @staticmethod
    def default() -> DomeContainers:
        return DomeContainers()

    def process(self, output: list[str]) -> DomeContainers:
        said: dict[str, list[str]] = {}
        for line in output:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        pairs = (line.partition("\t") for line in said.get("is", ()))
        return DomeContainers(
            docker=said["docker"][0],
            lines={key: value for key, _, value in pairs},
            database=said["database"][0],
            copies=tuple(said.get("copy", ())),
            leftovers=tuple(name.lstrip("/") for name in said.get("old", ())),
            stale=tuple(said.get("stale", ())),
            elsewhere=said.get("elsewhere", [""])[0],
            live_restore="live" in said,
            cut="cut" in said,
            due="due" in said,
        )

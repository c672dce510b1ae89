"""Ask Dome, on its own host, for what it knows: projects, settings, the schema of services.

Only answers with status 200 are told: Dome's pages of errors hold times, and a question must have
the same answer as long as nothing has changed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api import FactBase

from crosprov.facts.container_names import DOME, MULTICAST, TFTP

DATABASE = "/var/db/factory/dome/db.sqlite3"  # in the container
_WITHIN = 5  # seconds; a Dome that hangs makes a plan wait once

# Tables and columns as Django names them after py/dome/backend/models.py.
_READ_ROWS = f"""\
import json, sqlite3
base = sqlite3.connect("file:{DATABASE}?mode=ro", uri=True)
rows = base.execute("select name, umpire_enabled, umpire_port from backend_project order by name")
fields = ("tftp", "mcast", "version_check")
named = ", ".join(f"{{one}}_enabled" for one in fields)
kept = base.execute(f"select {{named}} from backend_domeconfig").fetchone()
keys = ("tftpEnabled", "mcastEnabled", "versionCheckEnabled")
print(json.dumps({{
    "projects": [{{"name": n, "umpireEnabled": bool(e), "umpirePort": p}} for n, e, p in rows],
    "settings": kept and dict(zip(keys, map(bool, kept))),
}}))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A project as Dome's database has it."""

    enabled: bool
    port: int | None


@dataclass(frozen=True, slots=True)
class DomeState:
    """What Dome told; `status` is that of its list of projects, 000 when there was no answer."""

    status: str = ""  # "" when the host has nothing to ask with
    known: bool = False  # whether the rest is known: from Dome, or from its database
    rows: Mapping[str, Row] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None  # None before they are set for the first time
    schema: Mapping[str, Any] | None = None  # of the services; None when it was not to be had

    @property
    def answers(self) -> bool:
        """Tell whether Dome gave its list of projects."""
        return self.status == "200"


class DomeFact(FactBase[DomeState]):
    """Observe what the Dome at a port knows, and the schema of services where that is asked for.

    The schema is the same for all projects, and Dome tells it for any name (ServiceSchemaView of
    py/dome/backend/views.py, June 2023).
    """

    title = "Dome at port"

    def command(self, port: int, schema: bool = False) -> str:
        services = "ask schema /projects/any/services/schema\n" if schema else ""
        return (
            "command -v curl >/dev/null 2>&1 || exit 0\n"
            f"ask() {{ a=$(curl -q -s --noproxy '*' -m {_WITHIN} -w '|%{{http_code}}' "
            f'"http://127.0.0.1:{port}$2" 2>/dev/null); r=$? s=${{a##*|}}\n'
            '[ "$s" != 200 ] || { printf \'%s 200 \' "$1"; '
            "printf '%s\\n' \"${a%|*}\" | tr -d '\\r\\n'; echo; return 0; }\n"
            'echo "$1 $s"; }\n'
            "ask projects /projects/\n"
            f'if [ "$s" = 200 ]; then ask settings /config/0/\n{services}exit 0; fi\n' + _STORED
        )

    @staticmethod
    def default() -> DomeState:
        return DomeState()

    def process(self, output: list[str]) -> DomeState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        listed, schema = _read(said.get("projects", "")), _read(said.get("schema", ""))
        settings = _read(said.get("settings", ""))
        status = said.get("projects", "").partition(" ")[0]
        if status == "200" and not isinstance(listed, list):
            status = "no list"
        stored = _read(f"200 {said['stored']}") if "stored" in said else None
        if isinstance(stored, dict):
            listed, settings = stored.get("projects"), stored.get("settings")
        return DomeState(
            status,
            isinstance(listed, list),
            _rows(listed) if isinstance(listed, list) else {},
            settings if isinstance(settings, dict) else None,
            schema if isinstance(schema, dict) else None,
        )


# A Dome that is down will be up again before anything is asked of it, with what its database has;
# one that runs and answers otherwise is not trusted with that.
_STORED = f"""\
command -v docker >/dev/null 2>&1 || exit 0
up=$(docker container inspect -f '{{{{.State.Running}}}}' {" ".join(DOME)} 2>/dev/null)
[ "$up" != "true
true" ] || [ $r -eq 7 ] || exit 0
for c in {" ".join(DOME)}; do
  a=$(timeout 20 docker exec -i $c python3 -I -c {shlex.quote(_READ_ROWS)} 2>/dev/null) &&
    [ -n "$a" ] && {{ echo "stored $a"; break; }}
done
:"""


def _read(answer: str) -> Any:
    status, _, body = answer.partition(" ")
    try:
        return json.loads(body) if status == "200" else None
    except ValueError:
        return None


def _rows(listed: list[Any]) -> dict[str, Row]:
    return {
        str(one["name"]): Row(one.get("umpireEnabled") is True, _port(one.get("umpirePort")))
        for one in listed
        if isinstance(one, dict) and "name" in one
    }


def _port(value: object) -> int | None:
    return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Part:
    """A container of Dome: its status, "" when it is not there, its image's id, its volumes."""

    status: str = ""
    image: str = ""
    volumes: tuple[str, ...] = ()  # FOLDER:PLACE


@dataclass(frozen=True, slots=True)
class PartsState:
    """The containers that Dome runs where they are asked for, and the id of the image."""

    docker: str = "none"
    parts: Mapping[str, Part] = field(default_factory=dict)
    image: str = ""

    def part(self, name: str) -> Part:
        """Give a container, an empty one when it is not there."""
        return self.parts.get(name, Part())


VOLUMES = "{{range .HostConfig.Binds}} {{.}}{{end}}"
"""For `docker container inspect`: the volumes of a container, each after a blank."""


class PartsFact(FactBase[PartsState]):
    """Observe the containers of TFTP and multicast, and the image that they shall have."""

    title = "TFTP and multicast from"

    def command(self, image: str) -> str:
        return (
            "if ! command -v docker >/dev/null 2>&1; then echo docker none; exit 0; fi\n"
            "docker ps -q >/dev/null 2>&1 || { echo docker down; exit 0; }\necho docker ok\n"
            "docker container inspect -f '{{.Name}} {{.State.Status}} {{.Image}}"
            f"{VOLUMES}' {TFTP} {MULTICAST} 2>/dev/null\n"
            f"echo \"id $(docker image inspect -f '{{{{.Id}}}}' {shlex.quote(image)} 2>/dev/null)\""
        )

    @staticmethod
    def default() -> PartsState:
        return PartsState()

    def process(self, output: list[str]) -> PartsState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        parts = {
            word[1:]: Part(status, image, tuple(volumes))
            for word, (status, image, *volumes) in (
                (word, rest.split()) for word, rest in said.items() if word.startswith("/")
            )
        }
        return PartsState(said["docker"], parts, said.get("id", ""))


_READ_HASH = f"""\
import sqlite3, sys
base = sqlite3.connect("file:{DATABASE}?mode=ro", uri=True)
for row in base.execute("select password from auth_user where username = ?", sys.argv[1:]):
    print(row[0])
"""


@dataclass(frozen=True, slots=True)
class PasswordState:
    """The hash of an account's password, as Django keeps it, and crosprov's record of it."""

    hash: str = field(default="", repr=False)  # "" when it is not known
    record: str = ""


class PasswordFact(FactBase[PasswordState]):
    """Observe the hash of an account of Dome; it is for the controller and goes nowhere else."""

    title = "password of Dome's account"

    def command(self, account: str, record: str) -> str:
        return (
            f'echo "record $(cat {shlex.quote(record)} 2>/dev/null)"\n'
            "command -v docker >/dev/null 2>&1 || exit 0\n"
            f"for c in {' '.join(DOME)}; do\n"
            "  h=$(timeout 20 docker exec -i $c python3 -I -c "
            f"{shlex.quote(_READ_HASH)} {shlex.quote(account)} 2>/dev/null) "
            '&& { echo "hash $h"; break; }\ndone\n:'
        )

    @staticmethod
    def default() -> PasswordState:
        return PasswordState()

    def process(self, output: list[str]) -> PasswordState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        return PasswordState(said.get("hash", ""), said.get("record", ""))

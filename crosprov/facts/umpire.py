"""Ask for the Umpire of a project: its container, its version and its active configuration."""

from __future__ import annotations

import json
import shlex
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from pyinfra.api import FactBase

from crosprov.facts.container_names import umpire_of

CLI_OFFSET = 2  # of the port that answers XML-RPC, counted from the base: py/umpire
DKPS_OFFSET = 9

# What a container was made from, one thing a line; of its environment only what Dome gives it.
_MADE_FROM = (
    '{{println "status" .State.Status}}{{println "image" .Image}}'
    '{{println "privileged" .HostConfig.Privileged}}'
    '{{println "restart" .HostConfig.RestartPolicy.Name}}'
    "{{range $port, $to := .HostConfig.PortBindings}}"
    '{{range $to}}{{println "port" $port .HostPort}}{{end}}{{end}}'
    '{{range .HostConfig.Binds}}{{println "bind" .}}{{end}}'
    '{{range $at, $how := .HostConfig.Tmpfs}}{{println "tmpfs" $at $how}}{{end}}'
    '{{range .Config.Env}}{{println "env" .}}{{end}}'
)
SEEN_FUNCTION = f"""seen() {{
  docker container inspect -f {shlex.quote(_MADE_FROM)} "$1" 2>/dev/null |
    sed -n '/^env [^U]/d; /^env U[^M]/d; /^./p' | LC_ALL=C sort
}}
"""
"""Defines `seen CONTAINER`: its status and what it was made from, sorted; nothing when absent."""

CALL_FUNCTION = f"""call() {{
  curl -q -sS --noproxy '*' -m "${{4:-5}}" -H 'Content-Type: text/xml' -w '|%{{http_code}}' \\
    --data "<?xml version='1.0'?><methodCall><methodName>$2</methodName>\
<params></params></methodCall>" "http://127.0.0.1:$(($1 + {CLI_OFFSET}))/" 2>/dev/null |
    tr -d '\\r\\n'
}}
"""
"""Defines `call BASE METHOD`: the answer of an Umpire's XML-RPC in one line, `|` and its status."""


@dataclass(frozen=True, slots=True)
class UmpireState:
    """What was observed of a project's Umpire."""

    docker: str = "none"  # ok; down, when it does not answer; none
    status: str = ""  # of its container, "" when there is none
    made_from: tuple[str, ...] = ()  # sorted lines, as `project_wish.made_from` gives them
    wanted_image: str = ""  # the id that the image's name points at now
    data: bool = False  # whether the host has a folder of its data
    version: int | None = None  # None when it does not answer
    config: Mapping[str, Any] | None = None  # the active one
    stored: bool = False  # it was read from the project's own folder, not from who answers
    instalog: str = ""  # HTTP status, "" when it was not asked, 000 without an answer
    dkps: str = ""

    @property
    def services(self) -> Mapping[str, Any]:
        """Give the services of the active configuration."""
        found = (self.config or {}).get("services")
        return found if isinstance(found, dict) else {}

    @property
    def image(self) -> str:
        """Give the id of the image that the container was made from."""
        return next((li[len("image ") :] for li in self.made_from if li.startswith("image ")), "")


class UmpireFact(FactBase[UmpireState]):
    """Observe the Umpire of a project that shall have a base port.

    `services` are the names of services that are asked whether they answer: instalog, dkps.
    """

    title = "Umpire of"

    def command(
        self, project: str, base: int, image: str, data: str, services: tuple[str, ...] = ()
    ) -> str:
        web = f"http://127.0.0.1:{base}/instalog"
        keys = f"http://127.0.0.1:{base + DKPS_OFFSET}/"
        urls = {"instalog": web, "dkps": keys}
        asked = "".join(f"answers {name} {urls[name]}\n" for name in services)
        return (
            "if ! command -v docker >/dev/null 2>&1; then echo docker none; "
            "elif ! docker ps -q >/dev/null 2>&1; then echo docker down; else echo docker ok; fi\n"
            f"{SEEN_FUNCTION}seen {shlex.quote(umpire_of(project))}\n"
            "echo \"wanted-image $(docker image inspect -f '{{.Id}}' "
            f'{shlex.quote(image)} 2>/dev/null)"\n'
            f'data={shlex.quote(data)}; [ ! -e "$data" ] || echo data yes\n'
            # A link into the folder as it is called within the container.
            'stored=$(readlink "$data/active_umpire.json" 2>/dev/null) && '
            'stored=$(tr -d "\\r\\n" 2>/dev/null < "$data/resources/${stored##*/}") && '
            '[ -n "$stored" ] && echo "stored $stored"\n'
            "command -v curl >/dev/null 2>&1 || exit 0\n"
            f"{CALL_FUNCTION}"
            f'said=$(call {base} GetVersion); echo "version $said"\n'
            f'[ -n "$stored" ] || echo "config $(call {base} GetActiveConfig)"\n'
            "answers() { echo \"$1 $(curl -q -s --noproxy '*' -m 5 -o /dev/null "
            '-w \'%{http_code}\' "$2" 2>/dev/null)"; }\n'
            f"{asked}:"
        )

    @staticmethod
    def default() -> UmpireState:
        return UmpireState()

    def process(self, output: list[str]) -> UmpireState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        version = returned(said.get("version", ""))
        return UmpireState(
            docker=said.get("docker", "none"),
            status=said.get("status", ""),
            made_from=tuple(line for line in output if line.partition(" ")[0] in _OF_CONTAINER),
            wanted_image=said.get("wanted-image", ""),
            data="data" in said,
            version=_version(version, said.get("version", "")),
            config=_mapping(said.get("stored") or returned(said.get("config", ""))),
            stored="stored" in said,
            instalog=said.get("instalog", ""),
            dkps=said.get("dkps", ""),
        )


_OF_CONTAINER = {"image", "privileged", "restart", "port", "bind", "tmpfs", "env"}


def returned(answer: str) -> object:
    """Give what an Umpire returned, None where it did not answer or told of a fault."""
    body, _, status = answer.rpartition("|")
    if status != "200":
        return None
    try:
        values, _ = xmlrpc.client.loads(body)
    except (xmlrpc.client.Error, ExpatError, ValueError):
        return None
    found: object = values[0] if values else None
    return found


def _version(value: object, answer: str) -> int | None:
    """Give the version; one that has no such method is older than all that have a number."""
    if isinstance(value, int):
        return value
    return 0 if "<fault>" in answer and answer.endswith("|200") else None


def _mapping(value: object) -> Mapping[str, Any] | None:
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

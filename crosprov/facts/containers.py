"""Ask Docker for a container, in one question."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api import FactBase

OLD = ".crosprov-old"  # follows the name of the container that a new one is about to replace
SPEC = "crosprov.spec"
SPEC_HASH = "crosprov.spec-hash"
NEEDS = "crosprov.needs"  # ids of the containers whose volumes or network it shares


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What was observed of a container; `spec` is what crosprov made it from."""

    docker: str = "none"  # ok; down, when it does not answer; none
    exists: bool = False
    status: str = ""  # running, exited, created, paused, restarting, dead, removing
    image: str = ""  # the id of the image that it was made from
    spec_hash: str = ""
    spec: Mapping[str, Any] | None = None
    needs: str = ""
    leftover: bool = False  # a replaced container still waits under its other name
    wanted_image: str = ""  # the id that the image's name points at now
    wanted_needs: str = ""
    due: bool = False

    @property
    def running(self) -> bool:
        """Tell whether the container's program runs."""
        return self.status == "running"


_FORMAT = (
    '{{.Name}} {{.State.Status}} {{.Image}} {{with index .Config.Labels "crosprov.spec-hash"}}'
    '{{.}}{{else}}-{{end}} {{with index .Config.Labels "crosprov.needs"}}{{.}}{{else}}-{{end}} '
    '{{index .Config.Labels "crosprov.spec"}}'
)


class ContainerFact(FactBase[ContainerState]):
    """Observe a container, its image's name, and the containers that it needs."""

    title = "container"

    def command(self, container: str, image: str, mark: str, needs: Sequence[str] = ()) -> str:
        names = f"{shlex.quote(container)} {shlex.quote(container + OLD)}"
        # One `docker ps` tells an absent container from an absent daemon.
        return (
            "if ! command -v docker >/dev/null 2>&1; then echo docker none; "
            "elif ! docker ps -q >/dev/null 2>&1; then echo docker down; else echo docker ok; "
            f"docker container inspect -f {shlex.quote(_FORMAT)} {names} 2>/dev/null; "
            f"echo \"image $(docker image inspect -f '{{{{.Id}}}}' {shlex.quote(image)} "
            f'2>/dev/null)"; echo "needs {ids_of(needs)}"; '
            f"[ ! -e {shlex.quote(mark)} ] || echo due; fi"
        )

    @staticmethod
    def default() -> ContainerState:
        return ContainerState()

    def process(self, output: list[str]) -> ContainerState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        found = {name: rest for name, rest in said.items() if name.startswith("/")}
        leftover = any(name.endswith(OLD) for name in found)
        common: dict[str, Any] = {
            "docker": said.get("docker", "none"),
            "leftover": leftover,
            "wanted_image": said.get("image", ""),
            "wanted_needs": said.get("needs", ""),
            "due": "due" in said,
        }
        for name, rest in found.items():
            if not name.endswith(OLD):
                status, image, digest, needs, spec = rest.split(" ", 4)
                return ContainerState(
                    exists=True, status=status, image=image, spec_hash=digest.strip("-"),
                    needs=needs.strip("-"), spec=_spec(spec), **common,
                )  # fmt: skip
        return ContainerState(**common)


def ids_of(containers: Sequence[str]) -> str:
    """Give the shell word that becomes the ids of containers, joined by commas."""
    if not containers:
        return ""
    names = " ".join(shlex.quote(name) for name in containers)
    return (
        f"$(docker container inspect -f '{{{{.Id}}}}' {names} 2>/dev/null | tr '\\n' ',' | "
        "sed 's/,$//')"
    )


def _spec(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

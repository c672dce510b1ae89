"""Ask for a Docker engine: what it is, where its data lies, and what runs on it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase

DATA_ROOT = "/var/lib/docker"  # where dockerd keeps its data unless it is told another place


def short_id(image: str) -> str:
    """Give the beginning of an image's id, as Docker shows it."""
    return image.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True)
class EngineState:
    """What was observed of an engine, and of the folder where its data shall be."""

    system: str = "Linux"  # as `uname -s` words it
    docker: str = "none"  # ok; down, when it does not answer; none
    root: str = DATA_ROOT  # where its data is; of one that does not answer, as its file says
    has_data: bool = False  # containers or images are in there
    wanted_has_data: bool = False  # and in the folder where its data shall be


# Of an engine that does not answer the folders tell: they stay empty until there is something.
_ENGINE = r"""echo "system $(uname -s)"
holds() {{ for f in "$1"/containers/?* "$1"/image/*/imagedb/content/sha256/?*; do
  if [ -e "$f" ]; then return 0; fi; done; return 1; }}
if ! command -v docker >/dev/null 2>&1; then echo docker none; r=
elif r=$(docker info -f '{{{{.DockerRootDir}}}}' 2>/dev/null) && [ -n "$r" ]; then
  echo docker ok
  [ -z "$(docker ps -aq 2>/dev/null | head -n 1)$(docker image ls -q | head -n 1)" ] || echo data
else
  echo docker down
  r=$(sed -n 's/.*"data-root" *: *"\([^"]*\)".*/\1/p' /etc/docker/daemon.json 2>/dev/null |
    head -n 1)
fi
r=${{r:-{usual}}}
echo "root $r"
! holds "$r" || echo data
! holds {wanted} || echo wanted_data"""


class EngineFact(FactBase[EngineState]):
    """Observe an engine; `wanted` is the folder where its data shall be."""

    title = "Docker engine"

    def command(self, wanted: str) -> str:
        return _ENGINE.format(usual=DATA_ROOT, wanted=shlex.quote(wanted))

    @staticmethod
    def default() -> EngineState:
        return EngineState()

    def process(self, output: list[str]) -> EngineState:
        said = {word: rest for word, _, rest in (line.partition(" ") for line in output)}
        return EngineState(
            system=said.get("system", ""),
            docker=said.get("docker", "none"),
            root=said.get("root", DATA_ROOT),
            has_data="data" in said,
            wanted_has_data="wanted_data" in said,
        )


@dataclass(frozen=True, slots=True)
class RunningState:
    """What runs on an engine, and whether it goes on without the engine."""

    live_restore: bool = False
    containers: tuple[str, ...] = ()


class RunningFact(FactBase[RunningState]):
    """Observe what runs on an engine.

    It only warns: a plan stays good when a container ends or begins after it was made.
    """

    title = "running containers"
    decides = False

    def command(self) -> str:
        return (
            "if command -v docker >/dev/null 2>&1; then "
            "docker info -f 'live {{.LiveRestoreEnabled}}' 2>/dev/null; "
            "docker ps --format 'runs {{.Names}}' 2>/dev/null | sort; fi; :"
        )

    @staticmethod
    def default() -> RunningState:
        return RunningState()

    def process(self, output: list[str]) -> RunningState:
        names = (line.removeprefix("runs ") for line in output if line.startswith("runs "))
        return RunningState("live true" in output, tuple(names))

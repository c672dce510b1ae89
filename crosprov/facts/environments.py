"""Ask for a Python environment that crosprov made, and for others of its kind, in one question."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase

# Names, sizes and times of change tell when something was taken out, damaged or edited, and cost no
# reading: nothing writes there once it is made. What Python compiles for itself does not count; it
# does not use that for a source of another time.
LISTING = (
    "find . -name __pycache__ -prune -o -type f ! -path './complete*' ! -name '*.pyc' "
    "-printf '%P %s %m %T@\\n' | LC_ALL=C sort | sha256sum | cut -d ' ' -f 1"
)
# The name of the program behind python3 changes with its version: python3.11.
PYTHON = 'readlink -f "$(command -v python3)"'


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """What is known of an environment, and the names of its neighbours."""

    python: str = ""  # path of the host's Python, "" when it has none
    version: str = ""  # 3.11, "" when it is not known
    machine: str = ""  # as uname says it
    complete: bool = False
    neighbours: tuple[str, ...] = ()


class EnvironmentFact(FactBase[EnvironmentState]):
    """Observe the environment in a folder; it is complete when all that was made is there."""

    title = "environment"

    def command(self, folder: str) -> str:
        place, parent = shlex.quote(folder), shlex.quote(folder.rpartition("/")[0])
        return (
            f'p=$({PYTHON} 2>/dev/null); echo "python $p"; uname -m; case $p in */python3.*) '
            'echo "${p##*/python}";; ?*) "$p" -Ic \'import sys; print("%d.%d" % '
            "sys.version_info[:2])';; *) echo;; esac || exit 1; "
            f"if [ -L {place}/bin/python ] && m=$(cat {place}/complete 2>/dev/null) && "
            # Without Python on the host, the same one is about to come back.
            '{ [ -z "$p" ] || [ "${m%%[[:space:]]*}" = "$p" ]; } && '
            f'[ "${{m##*[[:space:]]}}" = "$(cd {place} && {LISTING})" ]; '
            f"then echo complete; else echo incomplete; fi; ls -1 {parent} 2>/dev/null || :"
        )

    @staticmethod
    def default() -> EnvironmentState:
        return EnvironmentState()

    def process(self, output: list[str]) -> EnvironmentState:
        python, machine, version, complete, *neighbours = output
        return EnvironmentState(
            python.removeprefix("python "),
            version,
            machine,
            complete == "complete",
            tuple(neighbours),
        )

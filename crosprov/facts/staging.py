"""Ask a dev server what it has of the builds that it should have, in one question."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pyinfra.api import FactBase

_END = "end-of-the-client"


@cache
def client() -> str:
    """Read the program that talks to a dev server on its host."""
    return files("crosprov").joinpath("staging_client.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one wish: which of its names are missing, or why that is not known."""

    build: str = ""
    missing: tuple[str, ...] = ()
    unknown: str | None = None


class StagedFact(FactBase[tuple[Found, ...]]):
    """Observe what is staged of wishes, which are JSON; one answer for each, in their order.

    The server is only asked when the file of its unit holds `words`: otherwise another one runs
    there now, which knows of other builds.
    """

    title = "builds staged by the dev server on port"

    def command(self, port: int, wishes: str, file: str, words: str) -> str:
        return (
            f"grep -qsF -- {shlex.quote(words)} {shlex.quote(file)} || exit 0\n"
            "command -v python3 >/dev/null 2>&1 || exit 0\n"
            f"python3 -I - ask {port} {shlex.quote(wishes)} <<'{_END}'\n{client()}{_END}"
        )

    @staticmethod
    def default() -> tuple[Found, ...]:
        return ()

    def process(self, output: list[str]) -> tuple[Found, ...]:
        return tuple(_found(json.loads(line)) for line in output)


def _found(said: dict[str, object]) -> Found:
    missing = said.get("missing")
    return Found(
        str(said.get("build", "")),
        tuple(map(str, missing)) if isinstance(missing, list) else (),
        str(said["unknown"]) if "unknown" in said else None,
    )

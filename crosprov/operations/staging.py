"""Builds that a dev server has staged."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyinfra import host

from crosprov.facts.staging import Found, StagedFact
from crosprov.operations.effects import effects
from crosprov.operations.note import PROGRESS, Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_WITHIN = 7200.0  # seconds for one build; laboratories wait 100 minutes for theirs
_NOT_ASKED = "what of it is there: the dev server is not up yet, or serves another folder"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a build: artifacts and files by their names.

    `xbuddy` is a path of xBuddy instead, for a build below `source` that only the dev server
    can name.
    """

    build: str
    source: str
    artifacts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    xbuddy: str | None = None

    def __str__(self) -> str:
        return self.xbuddy or self.build

    @property
    def words(self) -> dict[str, object]:
        """Word the wish for the program that talks to the dev server."""
        if self.xbuddy is not None:
            return {"xbuddy": self.xbuddy, "archive": self.source}
        return {"source": self.source, "artifacts": self.artifacts, "files": self.files}


@dataclass(frozen=True, slots=True)
class Server:
    """A dev server of the host: its port, its unit's file, and the words there that tell it.

    `program` is where the client for it lies on the host.
    """

    port: int
    file: str
    words: str
    program: str


def united(wishes: Iterable[Wish]) -> tuple[Wish, ...]:
    """Make one wish of all that are about the same build, in their order."""
    found: dict[tuple[str, str | None], Wish] = {}
    for wish in wishes:
        key = (wish.source, wish.xbuddy)
        other = found.get(key, wish)
        found[key] = Wish(
            wish.build,
            wish.source,
            tuple(dict.fromkeys(other.artifacts + wish.artifacts)),
            tuple(dict.fromkeys(other.files + wish.files)),
            wish.xbuddy,
        )
    return tuple(found.values())


@operation
def build(wish: Wish, /, *, server: Server, wishes: Sequence[Wish]) -> Commands:
    """Make a dev server have staged what is wanted of one of the builds that it should have.

    All are asked for at once. A server that does not answer is asked when this is carried out,
    and stages then what it lacks.
    """
    found = _asked(server, wishes)
    seen = found[wishes.index(wish)]
    if seen.unknown is None and not seen.missing:
        return
    names = (*wish.artifacts, *wish.files)
    missing = seen.missing or names
    unknown = seen.unknown is not None
    note = Note(
        kind="build",
        name=str(wish),
        action=Action.CREATE if unknown or set(missing) >= set(names) else Action.UPDATE,
        before={} if unknown else dict.fromkeys(missing),
        after={name: "staged" for name in missing} or {"build": "(known after apply)"},
        unknown=(seen.unknown,) if seen.unknown else (),
        within=_WITHIN,
    )
    words = shlex.quote(json.dumps(wish.words))
    yield Noted(
        f"{PROGRESS}with_progress python3 -I {shlex.quote(server.program)} "
        f"stage {server.port} {words}",
        note,
    )


@operation
def tell_builds(*, server: Server, wishes: Sequence[Wish]) -> Commands:
    """Say in the host's status what is staged; nothing is changed."""
    found = _asked(server, wishes)
    there = [seen.build for seen in found if seen.unknown is None and not seen.missing]
    if wishes:
        told = f"{len(there)} of {len(wishes)}"
        effects().about["builds staged"] = ": ".join(
            part for part in (told, ", ".join(there)) if part
        )
    yield from ()


def _asked(server: Server, wishes: Sequence[Wish]) -> tuple[Found, ...]:
    words = json.dumps([wish.words for wish in wishes])
    found = host.get_fact(
        StagedFact, port=server.port, wishes=words, file=server.file, words=server.words
    )
    return found or tuple(Found(unknown=_NOT_ASKED) for _ in wishes)

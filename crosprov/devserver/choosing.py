"""Choose a client's payload among the staged builds: by its label, or by its board.

Whether a client that runs the payload's version already is offered it again differs among the
genuine dev servers. Those until 2019 called every payload version 999999.0.0, so the answer was
always an update; nebraska, which they use since, at first offered newer versions only. Here a
label (a pinned build) is offered to whoever runs another version, older or newer, and without a
label only a newer one is offered. A client that tells a word for its version, as
`update_engine_client --update` does, is offered the payload in any case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crosprov.devserver import labels
from crosprov.devserver.digests import Digester
from crosprov.devserver.layout import RESERVED, Layout
from crosprov.devserver.omaha import App
from crosprov.devserver.payloads import (
    NEWER_THAN_ALL,
    Payload,
    Unusable,
    delta_payloads,
    describe,
    full_payloads,
)

_CANARY = "{90F229CE-83E2-4FAF-8479-E368A34938B1}"
_DEPTH = 4

Translate = Callable[[str, str], str]
"""Turn an xBuddy path, without its first word, and a board into a build; raises Refused."""


class Holder(Protocol):
    """What is asked of the stager: not to remove a build while it is looked at."""

    def in_use(self, build: str) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What one app asks for; `label` and `board` are empty where the client named none."""

    app: App
    label: str
    board: str

    def __str__(self) -> str:
        where = f"label {shown(self.label)}" if self.label else "no label"
        board, version = shown(self.app.board) or "none", shown(self.app.version) or "unknown"
        return f"board {board}, version {version}, {where}"


class Chooser:
    """Choose payloads below the static folder."""

    def __init__(
        self, layout: Layout, holder: Holder, digester: Digester, translate: Translate | None
    ) -> None:
        self._layout = layout
        self._holder = holder
        self._digester = digester
        self._translate = translate

    def choose(self, asked: Asked) -> Payload:
        """Return the payload that a client gets.

        Raises Unusable with the reason when there is none for it, Refused for a label that
        could name no build.
        """
        payload = self._labelled(asked) if asked.label else self._of_board(asked)
        check(payload, asked)
        return payload

    def _of_board(self, asked: Asked) -> Payload:
        if not asked.board:
            raise Unusable("the request names neither a label nor a board")
        payload = self._newest(
            (build for build in self._builds() if labels.is_of_board(build, asked.board)), asked
        )
        if payload is None:
            raise Unusable(f"no build of board {shown(asked.board)} with a payload is staged")
        mine = labels.numbers(asked.app.version)
        if mine and payload.version != NEWER_THAN_ALL and labels.numbers(payload.version) < mine:
            raise Unusable(f"the newest staged build has version {payload.version}")
        return payload

    def _labelled(self, asked: Asked) -> Payload:
        label = asked.label
        if label == "xbuddy" or label.startswith("xbuddy/"):
            if self._translate is None:
                raise Unusable("paths of xBuddy are not translated here")
            label = self._translate(label.removeprefix("xbuddy").strip("/"), asked.board)
        folder = self._layout.inside(label)
        if folder != self._layout.static_dir and _has_payload(folder):
            return self._of_build(label, asked)
        found = self._newest((b for b in self._builds() if labels.begins_with(b, label)), asked)
        if found is None:
            raise Unusable("no build with a payload is staged under this label")
        return found

    def _newest(self, builds: Iterable[str], asked: Asked) -> Payload | None:
        """Return the payload of the newest build that has one; that build decides alone."""
        for build in labels.newest_first(builds):
            if _has_payload(self._layout.static_dir / build):
                return self._of_build(build, asked)
        return None

    def _of_build(self, build: str, asked: Asked) -> Payload:
        """Return a build's delta from the client's version, else its full payload."""
        folder = self._layout.inside(build)
        why = Unusable("the build has a delta only, from another version")
        deltas = delta_payloads(folder) if asked.app.delta_okay else []
        with self._holder.in_use(self._layout.build_of(f"{build}/file") or build):
            for path in (*deltas, *full_payloads(folder)):
                try:
                    payload = describe(path, self._digester)
                except Unusable as error:
                    why = error
                    continue
                if not payload.is_delta or same(payload.source_version, asked.app.version):
                    return payload
        raise why

    def _builds(self) -> list[str]:
        static = self._layout.static_dir
        return [
            str(folder.relative_to(static))
            for first in _folders(static)
            if first.name not in RESERVED
            for folder in _below(first, _DEPTH - 1)
        ]


def check(payload: Payload, asked: Asked) -> None:
    """Raise Unusable when a payload is not for this client, or is what it runs already."""
    app = asked.app
    if payload.appid and app.appid.upper() not in (payload.appid.upper(), _CANARY):
        raise Unusable(f"{payload.path} is for app {payload.appid}, not {shown(app.appid)}")
    if not payload.version.startswith(app.target_prefix):
        raise Unusable(f"{payload.path} does not have the version prefix that is asked for")
    # A delta from a version to itself exists to test updates.
    to_itself = payload.is_delta and same(payload.source_version, payload.version)
    if same(payload.version, app.version) and not to_itself:
        raise Unusable(f"it runs version {payload.version} already")


def same(one: str, other: str) -> bool:
    """Tell whether two versions are known and the same."""
    return bool(one) and one == other


def shown(text: str) -> str:
    """Return a client's text as it may stand in a line of the log."""
    text = text[:100]
    return text if text.isprintable() else ascii(text)


def _has_payload(folder: Path) -> bool:
    return bool(full_payloads(folder) or delta_payloads(folder))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Find the folders that may be builds; what has a version is not searched for more."""
    for path in _folders(folder):
        yield path
        if depth > 1 and not labels.order(path.name)[0]:
            yield from _below(path, depth - 1)


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []

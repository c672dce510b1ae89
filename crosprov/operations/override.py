"""The files that override an image's lsb-release: merged, with a record of what is ours."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov import lsb_release
from crosprov.errors import PlanError
from crosprov.facts.engine import DutState
from crosprov.facts.files import Kind, PathFact, PathState
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.looking import dut_state
from crosprov.operations.merge import LIMIT, merged, observe, rewrite
from crosprov.operations.note import Commands, Noted
from crosprov.operations.operation import operation


@dataclass(frozen=True, slots=True)
class Wish:
    """What such a file shall hold."""

    path: str
    addresses: Mapping[str, str] = field(default_factory=dict)  # of the server; ours alone
    settings: Mapping[str, str | None] = field(default_factory=dict)  # None: must be absent
    ours: tuple[str, ...] = ()  # lines that crosprov writes here, if no build is pinned
    remove_stale: bool = False

    def values(self, before: bytes, nebraska: bool) -> dict[str, str | None]:
        """Give the keys that are managed; what nebraska writes is left to it."""
        values: dict[str, str | None] = {**self.addresses, **self.settings}
        if self.remove_stale:
            values |= dict.fromkeys(lsb_release.stale_keys(before, self.settings))
        if nebraska:
            values.pop(lsb_release.UPDATES, None)
        return values

    def after(self, before: bytes, state: DutState) -> bytes:
        """Give the file's bytes as they shall be."""
        if not self.addresses:
            before = lsb_release.take_back(before, {*self._pinned(before), *self.wrote(state)})
        return lsb_release.merge(before, self.values(before, self.overruled(state)))

    def _pinned(self, before: bytes) -> Iterator[str]:
        """Give the lines of a file that crosprov writes: as in `ours`, or followed by a label."""
        for line in before.decode("utf-8", "surrogateescape").split("\n"):
            if line in self.ours or any(
                own.endswith("/update") and line.startswith(f"{own}/") for own in self.ours
            ):
                yield line

    def overruled(self, state: DutState) -> bool:
        """Tell whether nebraska writes into the file whenever the update engine starts."""
        return state.nebraska and self.path == lsb_release.OVERRIDE

    def wrote(self, state: DutState) -> tuple[str, ...]:
        """Give the lines of this file that crosprov recorded as its own."""
        return tuple(
            line.removeprefix(f"{self.path} ")
            for line in state.wrote
            if line.startswith(f"{self.path} ")
        )


def stands(wish: Wish) -> bytes:
    """Give the bytes of such a file as they are, none when it is absent; PlanError otherwise."""
    seen = _seen(wish.path)
    return merged(wish.path, seen, lambda before: before)


def changes(wish: Wish, state: DutState) -> bool:
    """Tell whether a file has to be written; raises PlanError when it cannot be."""
    before = stands(wish)
    return wish.after(before, state) != before


@operation
def override(wish: Wish, /, *, restarts: Sequence[str] = ()) -> Commands:
    """Merge what is wanted into the file; what readers would misread is told as notices.

    The lines of the server are recorded on the DUT, so that they can be taken back, and nothing
    else with them. Raises PlanError for something else than a text file of at most 1 MiB.
    """
    found = host.get_fact(PathFact, path=wish.path, limit=LIMIT)
    if found.kind is not Kind.FILE and not (wish.addresses or wish.settings):
        return  # nothing is wanted there, and nothing can be taken out of it
    state = dut_state()
    yield from _override(wish, _seen(wish.path), state, restarts)


@operation
def former(wish: Wish, /) -> Commands:
    """Take what crosprov once wrote out of a file that is no longer asked for.

    The file is not even looked at when nothing of it is recorded as crosprov's.
    """
    state = dut_state()
    if wish.wrote(state):
        yield from _override(wish, _seen(wish.path), state, ())


def _override(wish: Wish, seen: PathState, state: DutState, restarts: Sequence[str]) -> Commands:
    _say(wish, stands(wish), state)
    after = merged(wish.path, seen, lambda before: wish.after(before, state))
    commands = list(rewrite(wish.path, seen, after, "0644", restarts))
    if not commands:
        return
    if restarts and state.at_work:
        name = state.operation.removeprefix("UPDATE_STATUS_")
        raise PlanError(
            f"{wish.path} is to be changed, and update_engine, which is restarted for that, is in "
            f"the middle of an update ({name})",
            hint="wait until it has ended; `stop update-engine` on the DUT gives it up",
        )
    first, *others = commands
    assert isinstance(first, Noted)  # all that writes a file says so
    remember = _remember(wish, state, all_of_them=True)
    yield Noted(f"{remember} && {first.get_raw_value()}", first.note)
    yield from others
    yield StringCommand(_remember(wish, state, all_of_them=False))


def _seen(path: str) -> PathState:
    found = host.get_fact(PathFact, path=path, limit=LIMIT)
    if found.kind is Kind.DIRECTORY:
        raise PlanError(
            f"{path} is a directory where a file is wanted",
            hint="some scripts make it so by mistake; look into it and remove it by hand",
        )
    if found.content is not None and b"\0" in found.content:
        raise PlanError(
            f"{path} holds NUL bytes, and greps read no line of such a file",
            hint=f"a power cut may have torn it; look into it, then remove it: rm {path}",
        )
    return observe(path)


def _say(wish: Wish, before: bytes, state: DutState) -> None:
    notices = effects().notices
    managed = wish.values(before, wish.overruled(state))
    for remark in lsb_release.judge(before, managed):
        notices.append(f"{wish.path}, {remark}")
    stale = lsb_release.stale_keys(before, wish.settings)
    if stale and not wish.remove_stale and wish.path == lsb_release.OVERRIDE:
        notices.append(
            f"{wish.path} has copies of the image's own keys, which override the truth after an "
            f"update: {', '.join(stale)}; stale_release_keys: remove takes them away"
        )


def _remember(wish: Wish, state: DutState, *, all_of_them: bool) -> str:
    """Record the lines that are ours: before the change also those of before, after it no more."""
    lines = dict.fromkeys(_lines(wish))
    if all_of_them:
        lines = dict.fromkeys((*wish.wrote(state), *lines))
    others = (line for line in state.wrote if not line.startswith(f"{wish.path} "))
    texts = [*others, *(f"{wish.path} {line}" for line in lines)]
    record = shlex.quote(posixpath.join(state_dir(), "lsb-release"))
    if not texts:
        return f"rm -f {record}"
    words = " ".join(shlex.quote(text) for text in texts)
    return (
        f"mkdir -p {shlex.quote(state_dir())} && printf '%s\\n' {words} > {record}.part && "
        f"mv {record}.part {record}"
    )


def _lines(wish: Wish) -> Iterator[str]:
    return (f"{key}={value}" for key, value in wish.addresses.items())

"""Changes within files that belong to others: settings, marked blocks, single lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.files import Kind, PathFact, PathState
from crosprov.operations.effects import effects
from crosprov.operations.files import Swap, Target, write
from crosprov.operations.merging import merge_block, merge_line, merge_settings
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation

__all__ = ["block", "line", "merge_block", "merge_line", "merge_settings", "settings"]

LIMIT = 1024 * 1024  # bytes of a file that we merge into


@operation
def settings(
    path: str,
    values: Mapping[str, str | None],
    /,
    *,
    separator: str = "=",
    mode: str = "0644",
    restarts: Sequence[str] = (),
) -> Commands:
    """Make keys of a file have these values, one line each; None makes a key be absent.

    All else in the file stays byte for byte, and so do its mode and owner. A missing file is
    made, owned by root with `mode`, unless there is nothing to write into it. Raises PlanError
    for what is not a text file of at most 1 MiB.
    """
    seen = observe(path)
    after = merged(path, seen, lambda b: merge_settings(b, values, separator=separator))
    yield from rewrite(path, seen, after, mode, restarts)


@operation
def block(
    path: str,
    text: str | None,
    /,
    *,
    marker: str = "crosprov",
    comment: str = "#",
    mode: str = "0644",
    restarts: Sequence[str] = (),
) -> Commands:
    """Make a file hold a text between two marking lines; None removes all three.

    `marker` tells several blocks of a file apart, `comment` is what makes a line of the file a
    comment. See `settings` for what stays and what is refused.
    """
    seen = observe(path)
    after = merged(path, seen, lambda b: merge_block(b, text, name=marker, comment=comment))
    yield from rewrite(path, seen, after, mode, restarts)


@operation
def line(
    path: str,
    text: str,
    /,
    *,
    match: str | None = None,
    mode: str = "0644",
    restarts: Sequence[str] = (),
) -> Commands:
    """Make a file hold a line: in the place of those that match, or at the end.

    `match` is a regular expression that is searched in each line. See `settings` for what
    stays and what is refused.
    """
    seen = observe(path)
    after = merged(path, seen, lambda before: merge_line(before, text, match=match))
    yield from rewrite(path, seen, after, mode, restarts)


def observe(path: str) -> PathState:
    """Give what stands at a path at this point of the plan, with its content."""
    observed = host.get_fact(PathFact, path=path, limit=LIMIT)
    seen = effects().written.get(path, observed)
    if seen.kind is Kind.LINK:
        raise PlanError(
            f"{path} is a link to {seen.target}, and a file is wanted to be changed in part",
            hint="name the file that it points at",
        )
    if seen.kind not in (Kind.FILE, Kind.ABSENT):
        raise PlanError(
            f"{path} is a {seen.kind} where a file is wanted", hint="move it away by hand"
        )
    return seen


def merged(path: str, seen: PathState, merge: Callable[[bytes], bytes]) -> bytes:
    """Give a file's bytes after a merge, which raises PlanError for what it cannot do."""
    before = b"" if seen.kind is Kind.ABSENT else seen.content
    if before is None:
        raise PlanError(
            f"{path} has {seen.size} bytes, and only files of at most {LIMIT} are changed in part"
        )
    if b"\0" in before:
        raise PlanError(f"{path} is not a text file, so no line of it can be changed")
    try:
        return merge(before)
    except PlanError as error:
        raise PlanError(f"{path}: {error.message}", hint=error.hint) from None


def rewrite(
    path: str,
    seen: PathState,
    after: bytes,
    mode: str,
    restarts: Sequence[str],
    swap: Swap | None = None,
) -> Commands:
    """Write a file anew where it changed; its mode and owner stay."""
    if after == (seen.content or b""):
        return
    made = seen.kind is Kind.ABSENT
    target = Target(
        path,
        after,
        mode=mode if made else seen.mode,
        user="root" if made else seen.uid,
        group="root" if made else seen.gid,
        restarts=tuple(restarts),
        swap=swap,
    )
    yield from write(target, seen)

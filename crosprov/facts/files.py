"""Ask what stands at a path, in one question of three or four processes."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass, replace
from enum import StrEnum

from pyinfra.api import FactBase

SHOWN_LIMIT = 256 * 1024  # bytes of a file that are fetched to show a diff


class Kind(StrEnum):
    """What stands at a path."""

    ABSENT = "absent"
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PathState:
    """What was observed at a path; a link is not followed.

    `content` is None where it was not asked for, is as expected, or exceeds SHOWN_LIMIT.
    """

    kind: Kind
    mode: str = ""  # four octal digits
    user: str = ""
    uid: str = ""
    group: str = ""
    gid: str = ""
    size: int = 0
    sha256: str = ""
    content: bytes | None = None
    target: str = ""  # of a link
    parent: bool = True  # whether the directory that it stands in is there

    @property
    def private(self) -> bool:
        """Tell whether some accounts of the host may not read it, so that it may hold a secret."""
        return self.kind is Kind.FILE and not int(self.mode or "0", 8) & 0o004

    def owned_by(self, user: str, group: str) -> bool:
        """Tell whether user and group, names or numbers, are the ones observed."""
        return user in (self.user, self.uid) and group in (self.group, self.gid)


_ABSENT = PathState(Kind.ABSENT)
_NO_PARENT = PathState(Kind.ABSENT, parent=False)


def path_question(name: str, expect: str = "", limit: int = SHOWN_LIMIT) -> str:
    """Give the command that observes a path, which is one quoted word of the shell."""
    content = (
        f'h=$(sha256sum < "$p") || exit 1; h=${{h%% *}}; echo "$h"; '
        f'set -- $s; [ "$h" = \'{expect}\' ] || [ "$6" -gt {limit} ] || base64 "$p"'
    )
    # A device or a pipe is a "special file" to stat, and must never be read.
    return (
        f"p={name}; if s=$(LC_ALL=C stat -c '%a %U %u %G %g %s %F' \"$p\" 2>/dev/null); then "
        'echo "$s"; '
        'case "$s" in *"symbolic link") readlink "$p";; '
        f"*regular*file) {content if limit else ':'};; esac; "
        'elif [ -e "$p" ] || [ -L "$p" ]; then stat "$p"; exit 1; '
        'elif d=${p%/*}; [ -d "${d:-/}" ]; then echo absent; '
        "else echo no-parent; fi"
    )


def path_state(output: list[str]) -> PathState:
    """Read the answer to `path_question`."""
    head, *rest = output
    if head == "absent":
        return _ABSENT
    if head == "no-parent":
        return _NO_PARENT
    mode, user, uid, group, gid, size, kind = head.split(" ", 6)
    state = PathState(_kind(kind), mode.zfill(4), user, uid, group, gid, int(size))
    if state.kind is Kind.LINK:
        return replace(state, target="\n".join(rest))
    if state.kind is Kind.FILE and rest:
        body = base64.b64decode("".join(rest[1:])) if rest[1:] or state.size == 0 else None
        return replace(state, sha256=rest[0], content=body)
    return state


class PathFact(FactBase[PathState]):
    """Observe a path: `expect` is the sha256 that makes its content uninteresting."""

    title = "path"

    def command(self, path: str, expect: str = "", limit: int = SHOWN_LIMIT) -> str:
        """Give the command; `limit` 0 asks for no content, and not for its digest either."""
        return path_question(shlex.quote(path), expect, limit)

    @staticmethod
    def default() -> PathState:
        return _ABSENT

    def process(self, output: list[str]) -> PathState:
        return path_state(output)


def _kind(words: str) -> Kind:
    if words.endswith("file") and words.startswith("regular"):
        return Kind.FILE
    return {"directory": Kind.DIRECTORY, "symbolic link": Kind.LINK}.get(words, Kind.OTHER)

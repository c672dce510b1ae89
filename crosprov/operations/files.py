"""Files, directories and links, changed in one step each and never readable too early."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.files import Kind, PathFact, PathState
from crosprov.operations import diff as difference
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, Content, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_KEPT_LIMIT = 1024 * 1024  # bytes of a replaced file that are kept on the host
_UNIT_FILE = re.compile(
    r"/(?:etc|run|usr/lib|usr/local/lib|lib)/systemd/system/"
    r"(?:(?P<dropped_into>[^/]+)\.d/[^/]+\.conf|(?P<unit>[^/]+\.[a-z]+))"
)


@dataclass(frozen=True, slots=True)
class Swap:
    """Commands around the rename that makes a new file count: `$f` is the new file before it.

    When `before` fails, the old file stays; `after` may put it back, and then has to fail.
    """

    before: str
    after: str
    words: Mapping[str, str] = field(default_factory=dict)  # for the plan: what `after` does


@dataclass(frozen=True, slots=True)
class Target:
    """What a file shall be."""

    path: str
    content: bytes  # secrets as tokens
    mode: str
    user: str
    group: str
    restarts: tuple[str, ...] = ()
    shipped_by: str | None = None  # the package that installs a version of its own
    kind: str = "file"  # of the resource, where a role has a word of its own for it
    swap: Swap | None = None

    @property
    def sha256(self) -> str:
        """Digest the content as it will stand on the host."""
        return difference.sha256_of(self.content)

    @property
    def telling(self) -> str:
        """Give the digest where others may see it: none of a secret, which could be guessed."""
        return "" if difference.holds_secret(self.content) else self.sha256


@operation
def file(
    path: str,
    content: str | bytes,
    *,
    mode: str = "0644",
    user: str = "root",
    group: str = "root",
    restarts: Sequence[str] = (),
    shipped_by: str | None = None,
) -> Commands:
    """Make a file hold exactly this content, with this mode and owner.

    It is written beside its place, private, then given mode and owner, then renamed: readers
    see the old or the new file whole, and nobody can read the new one too early. `restarts`
    names units that are due a restart from the moment the file changes. Raises PlanError
    where something other than a file stands in the way.
    """
    raw = content.encode() if isinstance(content, str) else content
    target = Target(path, raw, mode, user, group, tuple(restarts), shipped_by)
    seen = host.get_fact(PathFact, path=path, expect=target.telling)
    yield from write(target, seen)


def write(target: Target, seen: PathState) -> Commands:
    """Yield the commands that make a file what it shall be, none when it is that already."""
    if seen.kind in (Kind.DIRECTORY, Kind.OTHER):
        raise PlanError(
            f"{target.path} is a {'directory' if seen.kind is Kind.DIRECTORY else 'special file'}"
            " where a file is wanted",
            hint="move it away by hand; crosprov does not delete what it did not make",
        )
    unknown = effects().provides(target.shipped_by) and seen.kind is Kind.ABSENT
    same_content = seen.kind is Kind.FILE and seen.sha256 == target.sha256
    same_access = seen.mode == target.mode and seen.owned_by(target.user, target.group)
    if same_content and same_access and not unknown:
        return
    _record(target)
    note = _note(target, seen, same_content=same_content, unknown=unknown)
    if same_content:
        yield Noted(remember_restarts(target.restarts, target.telling) + _access(target), note)
        return
    yield from _replace(target, seen, note)


def _replace(target: Target, seen: PathState, note: Note) -> Commands:
    temporary = temporary_beside(target.path)
    name = shlex.quote(temporary)
    yield Noted(
        keep_before(target.path, seen, secret=_secret(target))
        + make_parent(target.path, seen)
        + f"rm -f {name} && ( umask 077; set -C; : > {name} )",
        note,
    )
    yield Content(target.content, temporary)
    swap = target.swap
    yield StringCommand(
        f"chmod {target.mode} {name} && chown {owner(target.user, target.group)} {name} && "
        f"{flush(name)}"
        + (f"f={name} && {swap.before} && " if swap else "")
        + remember_restarts(target.restarts, target.telling)
        + f"mv -f {name} {shlex.quote(target.path)}"
        + (f" || exit\n{swap.after}" if swap else "")
    )


def _secret(target: Target) -> bool:
    return difference.holds_secret(target.content)


def _record(target: Target) -> None:
    known = effects()
    known.restarts.update(dict.fromkeys(target.restarts, target.sha256))
    known.written[target.path] = PathState(
        Kind.FILE, target.mode.zfill(4), target.user, target.user, target.group, target.group,
        len(target.content), target.sha256, target.content,
    )  # fmt: skip
    unit = unit_of(target.path)
    if unit is not None:
        known.units.add(unit)


def unit_of(path: str) -> str | None:
    """Name the systemd unit that a path is the file or a drop-in of, None for other paths."""
    found = _UNIT_FILE.fullmatch(path)
    return (found["unit"] or found["dropped_into"]) if found else None


def _access(target: Target) -> str:
    name = shlex.quote(target.path)
    return f"chown {owner(target.user, target.group)} {name} && chmod {target.mode} {name}"


def _note(target: Target, seen: PathState, *, same_content: bool, unknown: bool) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    diff = None
    if not same_content:
        diff = _content_diff(target, seen, before, after)
    _access_diff(target.mode, target.user, target.group, seen, before, after)
    if not seen.parent and posixpath.dirname(target.path) not in effects().paths:
        after["parent directories"] = "created"
    after.update(target.swap.words if target.swap else {})
    return Note(
        kind=target.kind,
        name=target.path,
        action=Action.CREATE if seen.kind is Kind.ABSENT else Action.UPDATE,
        diff=diff,
        before=before,
        after=after,
        restarts=target.restarts,
        unknown=(f"the version that package {target.shipped_by} installs",) if unknown else (),
        undo=f"rm -f {shlex.quote(temporary_beside(target.path))}",
        kept=None if same_content else kept_digest(seen, secret=_secret(target)),
    )


def _content_diff(
    target: Target, seen: PathState, before: dict[str, str | None], after: dict[str, str | None]
) -> str | None:
    if seen.kind is Kind.LINK:
        before["link to"] = seen.target
    known = b"" if seen.kind is not Kind.FILE else seen.content
    private = seen.private
    diff = None
    if known is not None:
        diff = difference.unified(known, target.content, private=private)
    if diff is None:
        if seen.kind is Kind.FILE:
            before["content"] = difference.summary(None, seen.sha256, seen.size, private=private)
        size = len(target.content)
        after["content"] = difference.summary(target.content, target.sha256, size)
    return diff


def _access_diff(
    mode: str,
    user: str,
    group: str,
    seen: PathState,
    before: dict[str, str | None],
    after: dict[str, str | None],
) -> None:
    if seen.kind in (Kind.ABSENT, Kind.LINK):
        after.update({"mode": mode, "owner": f"{user}:{group}"})
        return
    if seen.mode != mode:
        before["mode"], after["mode"] = seen.mode, mode
    if not seen.owned_by(user, group):
        before["owner"], after["owner"] = f"{seen.user}:{seen.group}", f"{user}:{group}"


@operation
def directory(
    path: str,
    *,
    mode: str = "0755",
    user: str = "root",
    group: str = "root",
    restarts: Sequence[str] = (),
) -> Commands:
    """Make a directory exist with this mode and owner; what is in it stays as it is.

    Missing parents are made too, owned by root with mode 0755. `restarts` names what is due a
    restart when the directory is made: a container goes on with the folder that it was started
    with, even when that was deleted. Raises PlanError where something else stands at the path.
    """
    seen = host.get_fact(PathFact, path=path, limit=0)
    if seen.kind not in (Kind.ABSENT, Kind.DIRECTORY):
        raise PlanError(
            f"{path} is a {seen.kind} where a directory is wanted", hint="move it away by hand"
        )
    effects().paths.add(path)
    if seen.kind is Kind.DIRECTORY and seen.mode == mode and seen.owned_by(user, group):
        return
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    _access_diff(mode, user, group, seen, before, after)
    name = shlex.quote(path)
    access = f"chown {owner(user, group)} {name} && chmod {mode} {name}"
    made = seen.kind is Kind.ABSENT
    due = tuple(restarts) if made else ()
    effects().restarts.update(dict.fromkeys(due, "made"))
    note = Note(
        "directory", path, Action.CREATE if made else Action.UPDATE, before=before, after=after,
        restarts=due,
    )  # fmt: skip
    # Private until it has its owner: a directory must not be entered too early either.
    make = f"mkdir -p {_parent(path)} && ( umask 077; mkdir {name} ) && " if made else ""
    yield Noted(remember_restarts(due, "made") + make + access, note)


@operation
def link(path: str, target: str) -> Commands:
    """Make a symbolic link point at a target; another link in its place is replaced at once.

    Raises PlanError where a file or a directory stands at the path.
    """
    seen = host.get_fact(PathFact, path=path, limit=0)
    if seen.kind is Kind.LINK and seen.target == target:
        return
    if seen.kind not in (Kind.ABSENT, Kind.LINK):
        raise PlanError(
            f"{path} is a {seen.kind} where a link is wanted", hint="move it away by hand"
        )
    before = {"target": seen.target} if seen.kind is Kind.LINK else {}
    action = Action.UPDATE if before else Action.CREATE
    temporary = shlex.quote(temporary_beside(path))
    note = Note("link", path, action, before=dict(before), after={"target": target},
                undo=f"rm -f {temporary}")  # fmt: skip
    yield Noted(
        make_parent(path, seen)
        + f"rm -f {temporary} && ln -s {shlex.quote(target)} {temporary} && "
        f"mv -fT {temporary} {shlex.quote(path)}",
        note,
    )


@operation
def absent(path: str, *, restarts: Sequence[str] = (), shipped_by: str | None = None) -> Commands:
    """Make sure that no file or link stands at a path; its content is kept on the host.

    `shipped_by` names a package that would bring it: while that package is only about to be
    installed, the file is removed after it, and the plan says that this is not known yet.
    """
    seen = host.get_fact(PathFact, path=path)
    unknown = effects().provides(shipped_by) and seen.kind is Kind.ABSENT
    if seen.kind is Kind.ABSENT and not unknown:
        return
    if seen.kind in (Kind.DIRECTORY, Kind.OTHER):
        raise PlanError(f"{path} is a {seen.kind}, and only files and links are deleted")
    effects().restarts.update(dict.fromkeys(restarts, "absent"))
    effects().written[path] = PathState(Kind.ABSENT)
    diff = None
    if seen.content:
        diff = difference.unified(seen.content, b"", private=seen.private)
    note = Note(
        "link" if seen.kind is Kind.LINK else "file", path, Action.DELETE, diff=diff,
        before={"target": seen.target} if seen.kind is Kind.LINK else {},
        restarts=tuple(restarts),
        unknown=(f"whether package {shipped_by} brings it",) if unknown else (),
        kept=kept_digest(seen),
    )  # fmt: skip
    name = shlex.quote(path)
    yield Noted(
        keep_before(path, seen) + remember_restarts(restarts, "absent") + f"rm -f {name}", note
    )


def temporary_beside(path: str) -> str:
    """Name the private file that becomes `path`; hidden, in the same directory."""
    directory, base = posixpath.split(path)
    if len(base) > 200:
        base = hashlib.sha256(base.encode()).hexdigest()
    return posixpath.join(directory, f".{base}.crosprov")


def remember_restarts(units: Sequence[str], digest: str) -> str:
    """Give the commands that make restarts due until they succeeded, ending in ` && `.

    They come before the change: a run that ends between the two restarts once too often,
    never too seldom.
    """
    if not units:
        return ""
    folder = shlex.quote(f"{state_dir()}/restart")
    told = digest or "secret"
    marks = "".join(f"printf '%s\\n' {told} > {folder}/{shlex.quote(u)} && " for u in units)
    return f"mkdir -p {folder} && {marks}"


def kept_digest(seen: PathState, *, secret: bool = False) -> str | None:
    """Give the name under which a file is kept before it is replaced, None when it is not.

    A file that will hold a secret may hold the one before it, and so may one that not everybody
    on the host may read: a secret stands in its target and nowhere else, so those are not kept.
    """
    if seen.kind is not Kind.FILE or seen.size > _KEPT_LIMIT or secret or seen.private:
        return None
    return seen.sha256 or None


def keep_before(path: str, seen: PathState, *, secret: bool = False) -> str:
    """Give the commands that keep a copy of the file as it is, ending in ` && `.

    Copies are named by their digest, so the same content is kept once.
    """
    digest = kept_digest(seen, secret=secret)
    if digest is None:
        return ""
    kept = shlex.quote(f"{state_dir()}/before/{digest}")
    folder = shlex.quote(f"{state_dir()}/before")
    return (
        f"mkdir -p {folder} && {{ [ -e {kept} ] || "
        f"{{ ( umask 077; cat {shlex.quote(path)} > {kept}.part ) && mv {kept}.part {kept}; }}; }}"
        " && "
    )


def make_parent(path: str, seen: PathState) -> str:
    """Give the command that makes the missing directory of a path, ending in ` && `."""
    return "" if seen.parent else f"mkdir -p {_parent(path)} && "


def flush(quoted: str) -> str:
    """Give the command that brings a file to the disk, where `sync` can; ends in ` && `.

    A rename may reach the disk before the bytes do, and a power cut would leave an empty file.
    """
    return f"{{ sync {quoted} 2>/dev/null || :; }} && "


def owner(user: str, group: str) -> str:
    """Quote an owner for chown."""
    return shlex.quote(f"{user}:{group}")


def _parent(path: str) -> str:
    return shlex.quote(posixpath.dirname(path) or "/")

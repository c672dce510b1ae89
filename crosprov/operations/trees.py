"""Trees: files and folders of the controller, copied to a host where they differ."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.trees import Standing, TreeFact, TreeState
from crosprov.operations.effects import effects
from crosprov.operations.files import flush, owner, temporary_beside
from crosprov.operations.local_tree import Entry, Sort, scan
from crosprov.operations.note import Commands, Content, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

SINGLE = 20  # files that are shown as changes of their own; the rest is one change
_CARRIED = 64 * 1024  # bytes; a larger file is streamed, not written into the plan
_LISTED = 40  # names in a note
_WITHIN = 3600.0  # seconds

_SORTS = {"f": "a file", "d": "a folder", "l": "a link"}


@dataclass(frozen=True)
class Tree:
    """A tree as it shall be: where it comes from, where it stands, and whose it is."""

    root: str
    base: str  # the folder of the host that is there and that the tree is somewhere below
    user: str
    entries: tuple[Entry, ...]
    delete: bool = False

    def __str__(self) -> str:
        return self.root

    @property
    def owner(self) -> str:
        """Word user and group as find does."""
        return f"{self.user}:{self.user}"

    @cached_property
    def digest(self) -> str:
        """Digest the tree as `TreeFact` does."""
        records = sorted(record for entry in self.entries for record in entry.records(self.owner))
        return hashlib.sha256(b"".join(record + b"\0" for record in records)).hexdigest()

    def place(self, path: str) -> str:
        """Give where an entry stands on the host."""
        return f"{self.root}/{path}" if path else self.root


def tree(source: Path, root: str, *, base: str, user: str, delete: bool = False) -> None:
    """Make a file or folder of the controller stand on the host, by what differs.

    `base` is a folder of the host that the tree is below; folders between are made. What is on
    the host and not in the folder stays and is told, unless `delete`. Links stay links.
    Raises PlanError for what cannot be copied, and where a folder and a file want one place.
    """
    wanted = Tree(root, base, user, scan(source), delete)
    folders(wanted)
    for place in range(SINGLE):
        single(wanted, place)
    rest(wanted)
    surplus(wanted)


@operation
def folders(wanted: Tree, /) -> Commands:
    """Make the folders of a tree, and those above it, with their owner and mode."""
    seen = _seen(wanted)
    _refuse_clashes(wanted, seen)
    missing = [
        e for e in wanted.entries if e.sort is Sort.FOLDER and not _as_wanted(wanted, e, seen)
    ]
    between = [] if seen.same or "" in seen.entries else _between(wanted)
    if not missing and not between:
        return
    paths = dict.fromkeys([*between, *(wanted.place(entry.path) for entry in missing)])
    words = " ".join(map(shlex.quote, paths))
    new = "" not in seen.entries
    yield Noted(
        f"for d in {words}; do [ -d \"$d\" ] || mkdir \"$d\" || exit; "
        f'chown {owner(wanted.user, wanted.user)} "$d" && chmod 755 "$d" || exit; done',
        Note(
            "folders", wanted.root, Action.CREATE if new else Action.UPDATE,
            after=_list([*paths], "owned by " + wanted.user),
        ),
    )  # fmt: skip


@operation
def single(wanted: Tree, place: int, /) -> Commands:
    """Bring one of the first files that differ to what it shall be."""
    seen = _seen(wanted)
    differing = _differing(wanted, seen)
    if place >= len(differing):
        return
    entry = differing[place]
    yield from _put(wanted, entry, seen.entries.get(entry.path))


@operation
def rest(wanted: Tree, /) -> Commands:
    """Bring all files that differ beyond the first to what they shall be, as one change."""
    seen = _seen(wanted)
    differing = _differing(wanted, seen)[SINGLE:]
    if not differing:
        return
    size = sum(entry.size for entry in differing)
    names = [entry.path for entry in differing]
    yield Noted(
        ":",
        Note(
            "files", wanted.root, Action.UPDATE if seen.entries else Action.CREATE,
            after={"total": f"{len(names)} files, {size} bytes", **_list(names, "as on this side")},
            within=_WITHIN,
        ),
    )  # fmt: skip
    for entry in differing:
        yield from _put(wanted, entry, seen.entries.get(entry.path))


@operation
def surplus(wanted: Tree, /) -> Commands:
    """Remove what is on the host and not in the folder, or say that it is there."""
    seen = _seen(wanted)
    known = {entry.path for entry in wanted.entries}
    extra = [path for path in seen.entries if path not in known]
    if not extra:
        return
    # What a killed run left beside its place is ours to remove.
    doomed = [path for path in extra if wanted.delete or _is_temporary(path)]
    _tell_what_stays(wanted, sorted(set(extra) - set(doomed)))
    if not doomed:
        return
    doomed.sort(reverse=True)  # what is in a folder before the folder
    if any(_shown(path) != path for path in doomed):
        raise PlanError(
            f"{wanted.root} holds names that cannot be shown or are not UTF-8",
            hint="remove them by hand",
        )
    before: dict[str, str | None] = dict(_list(doomed, "not in the folder"))
    folders = [path for path in doomed if seen.entries[path].sort == "d"]
    files = [path for path in doomed if seen.entries[path].sort != "d"]
    commands = [
        *(f"rm -f {shlex.quote(wanted.place(path))}" for path in files),
        *(f"rmdir {shlex.quote(wanted.place(path))}" for path in folders),
    ]
    yield Noted(" &&\n".join(commands), Note("files", wanted.root, Action.DELETE, before=before))


def _is_temporary(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".crosprov")


def _tell_what_stays(wanted: Tree, paths: Sequence[str]) -> None:
    if paths:
        shown = ", ".join(map(_shown, paths[:3])) + (", …" if len(paths) > 3 else "")
        effects().notices.append(
            f"{wanted.root} holds {len(paths)} that the folder does not have and that stay: {shown}"
        )


def _seen(wanted: Tree) -> TreeState:
    return host.get_fact(TreeFact, root=wanted.root, expect=wanted.digest)


def _as_wanted(wanted: Tree, entry: Entry, seen: TreeState) -> bool:
    detail = entry.sha256 if entry.sort is Sort.FILE else entry.target
    now = Standing(entry.sort, entry.mode, wanted.owner, detail)
    return seen.same or seen.entries.get(entry.path) == now


def _differing(wanted: Tree, seen: TreeState) -> Sequence[Entry]:
    return [
        entry
        for entry in wanted.entries
        if entry.sort is not Sort.FOLDER and not _as_wanted(wanted, entry, seen)
    ]


def _refuse_clashes(wanted: Tree, seen: TreeState) -> None:
    for entry in wanted.entries:
        found = seen.entries.get(entry.path)
        if found is not None and (found.sort == "d") != (entry.sort is Sort.FOLDER):
            raise PlanError(
                f"{wanted.place(entry.path)} is {_SORTS.get(found.sort, 'a special file')} where "
                f"{_SORTS[entry.sort]} is wanted",
                hint="move it away by hand; crosprov does not delete what it did not make",
            )


def _between(wanted: Tree) -> list[str]:
    """List the folders between the base and the tree, parents first."""
    steps = wanted.root.removeprefix(wanted.base).strip("/").split("/")[:-1]
    return [f"{wanted.base}/{'/'.join(steps[: n + 1])}" for n in range(len(steps))]


def _put(wanted: Tree, entry: Entry, found: Standing | None) -> Commands:
    """Yield what brings a file or link to its place, whole, with owner and mode."""
    path = wanted.place(entry.path)
    temporary = temporary_beside(path)
    name, place = shlex.quote(temporary), shlex.quote(path)
    note = _note(wanted, entry, path, found)
    who = owner(wanted.user, wanted.user)
    if entry.sort is Sort.LINK:
        yield Noted(
            f"rm -f {name} && ln -s {shlex.quote(entry.target)} {name} && chown -h {who} {name} && "
            f"mv -fT {name} {place}",
            note,
        )
        return
    if found is not None and found.sort == "f" and found.detail == entry.sha256:
        yield Noted(f"chown {who} {place} && chmod {entry.mode} {place}", note)
        return
    yield Noted(f"rm -f {name} && ( umask 077; set -C; : > {name} )", note)
    if entry.size <= _CARRIED:
        yield Content(_content(entry), temporary)
    else:
        yield LocalFile(entry.source, entry.size, entry.sha256, temporary)
    yield StringCommand(
        f"chmod {entry.mode} {name} && chown {who} {name} && {flush(name)}mv -fT {name} {place}"
    )


def _content(entry: Entry) -> bytes:
    content = Path(entry.source).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise PlanError(f"{entry.source} changes while the plan is made", hint="plan again")
    return content


def _note(wanted: Tree, entry: Entry, path: str, found: Standing | None) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    if entry.sort is Sort.LINK:
        after["target"] = entry.target
    elif found is None or found.detail != entry.sha256:
        after["content"] = f"{entry.size} bytes, sha256 {entry.sha256[:12]}"
    if found is not None and found.sort == "f" and found.detail != entry.sha256:
        before["content"] = f"sha256 {found.detail[:12]}"
    if found is not None and found.sort == "l":
        before["link to"] = found.detail
    now = (found.mode, found.owner) if found is not None and found.sort == entry.sort else None
    if now is None or now[0] != entry.mode:
        after["mode"] = entry.mode.zfill(4)
        if now is not None:
            before["mode"] = now[0].zfill(4)
    if now is None or now[1] != wanted.owner:
        after["owner"] = wanted.owner
        if now is not None:
            before["owner"] = now[1]
    kind = "link" if entry.sort is Sort.LINK else "file"
    action = Action.CREATE if found is None else Action.UPDATE
    undo = f"rm -f {shlex.quote(temporary_beside(path))}"
    return Note(kind, path, action, before=before, after=after, undo=undo)


def _list(names: Sequence[str], word: str) -> dict[str, str | None]:
    listed: dict[str, str | None] = dict.fromkeys(names[:_LISTED], word)
    if len(names) > _LISTED:
        listed["and"] = f"{len(names) - _LISTED} more"
    return listed


def _shown(path: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in path)

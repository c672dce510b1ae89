"""Files that a DUT fetches from its dev server by itself, checked by their digest."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.fetching import FETCH_FUNCTIONS, FetchedFact, FetchedState
from crosprov.facts.files import Kind, PathState
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.files import flush, make_parent, temporary_beside
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_FETCHED_WITHIN = 3600  # seconds


@operation
def fetched(path: str, url: str, *, sha256: str | None = None, mode: str = "0644") -> Commands:
    """Make a file be what a dev server serves at a URL, owned by root.

    With `sha256` the file must have it, and what has another one never comes to its place.
    Without it the file is fetched when the server has another one than it had, by its entity
    tag, date and size, or when the file is not as it was fetched. A server that does not
    answer is told by a notice while the file is there. Raises PlanError where something other
    than a file stands in the way.
    """
    record = f"{state_dir()}/fetched/{hashlib.sha256(path.encode()).hexdigest()}"
    seen = host.get_fact(FetchedFact, path=path, url=url, record=record, sha256=sha256 or "")
    if effects().empties(path):
        seen = replace(seen, path=PathState(Kind.ABSENT, parent=False))
    if seen.path.kind not in (Kind.FILE, Kind.ABSENT):
        raise PlanError(f"{path} is a {seen.path.kind} where a file is wanted",
                        hint="move it away by hand")  # fmt: skip
    wanted = mode.zfill(4)
    content = _content_differs(seen, url, sha256)
    if not content and seen.path.kind is Kind.FILE and not seen.served and sha256 is None:
        effects().notices.append(f"{url} is not served, so {path} stays as it is")
    if not content and seen.path.mode == wanted:
        return
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {"mode": wanted} if seen.path.mode != wanted else {}
    if seen.path.kind is Kind.FILE and seen.path.mode != wanted:
        before["mode"] = seen.path.mode
    if content:
        after |= {"content": f"from {url}", **({"sha256": sha256} if sha256 else {})}
        if seen.path.kind is Kind.FILE:
            before["sha256"] = seen.path.sha256
    note = Note(
        "file", path, Action.UPDATE if seen.path.kind is Kind.FILE else Action.CREATE,
        before=before, after=after, unknown=() if sha256 or not content else ("its digest",),
        undo=f"rm -f {shlex.quote(temporary_beside(path))}", within=_FETCHED_WITHIN,
    )  # fmt: skip
    name = shlex.quote(path)
    if not content:
        yield Noted(f"chmod {mode} {name}", note)
        return
    yield Noted(_fetch(path, url, record, sha256, mode, make_parent(path, seen.path)), note)


def _content_differs(seen: FetchedState, url: str, sha256: str | None) -> bool:
    if seen.path.kind is Kind.ABSENT:
        return True
    if sha256 is not None:
        return seen.path.sha256 != sha256
    if not seen.served:
        return False
    return seen.path.sha256 != seen.digest or seen.fetched != f"{url} {seen.served}"


def _fetch(
    path: str, url: str, record: str, sha256: str | None, mode: str, make_folder: str
) -> str:
    temporary = shlex.quote(temporary_beside(path))
    place, note, address = shlex.quote(path), shlex.quote(record), shlex.quote(url)
    check = ""
    if sha256 is not None:
        check = (
            f'[ "$h" = {sha256} ] || {{ echo {address}" has the sha256 $h, and the inventory '
            f'wants {sha256}" >&2; exit 1; }}\n'
        )
    return (
        f"{FETCH_FUNCTIONS}"
        f"{make_folder}rm -f {temporary} && ( umask 077; set -C; : > {temporary} ) || exit 1\n"
        f"served=$(version {address})\n"
        f"fetch {address} {temporary} {_FETCHED_WITHIN} || {{ echo {address}' could not be "
        "fetched' >&2; exit 1; }\n"
        f"h=$(sha256sum < {temporary}) || exit 1; h=${{h%% *}}\n{check}"
        f"mkdir -p {shlex.quote(record.rpartition('/')[0])} && "
        f'printf \'%s\\n%s\\n\' {address}" ${{served% }}" "$h" > {note}.part && '
        f"chmod {mode} {temporary} && {flush(temporary)}mv -f {temporary} {place} && "
        f"mv {note}.part {note}"
    )

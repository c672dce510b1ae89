"""Accounts and the keys that may log in to them."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.files import Kind, PathState
from crosprov.facts.users import KeysFact, UserFact, UserState
from crosprov.operations import diff as difference
from crosprov.operations.effects import effects
from crosprov.operations.files import flush, keep_before, temporary_beside
from crosprov.operations.merging import merge_block
from crosprov.operations.note import Commands, Content, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,30}\$?", re.IGNORECASE)
_KEY = re.compile(r"(?:^|[ \t])(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+[ \t]+AAAA[0-9A-Za-z+/]+=*")


def user(
    name: str,
    *,
    shell: str | None = "/bin/bash",
    home: str | None = None,
    groups: Sequence[str] = (),
    system: bool = False,
    authorized_keys: Sequence[str] = (),
) -> None:
    """Make an account exist, and let these public keys log in to it.

    Two changes of a plan: see the operations `account` and `keys`.
    """
    account(name, shell=shell, home=home, groups=groups, system=system)
    if authorized_keys:
        keys(name, authorized_keys, home=home)


@operation
def account(
    name: str,
    /,
    *,
    shell: str | None = "/bin/bash",
    home: str | None = None,
    groups: Sequence[str] = (),
    system: bool = False,
) -> Commands:
    """Make an account exist with this shell and home, and be in these groups too.

    Groups are added, never taken away; one that the host lacks is made. None leaves shell or
    home as they are. An account of a service (`system`) gets no home directory made. A home
    that differs is set; what lies in the old one is not moved. Raises PlanError for a name
    that is none.
    """
    for given in (name, *groups):
        if not _NAME.fullmatch(given):
            raise PlanError(f"{given!r} is not the name of an account or a group")
    observed = host.get_fact(UserFact, user=name, groups=tuple(groups))
    seen = effects().accounts.get(name, observed)
    joined = [group for group in dict.fromkeys(groups) if group not in seen.groups]
    known = observed.known_groups | seen.known_groups
    made = [group for group in joined if group not in known]
    new_shell = shell if shell is not None and shell != seen.shell else None
    new_home = home if home is not None and home != seen.home else None
    if seen.exists and not joined and not new_shell and not new_home:
        return
    options = _options(new_shell, home if not seen.exists else new_home)
    if seen.exists:
        command = _usermod(name, options, joined)
    else:
        command = _useradd(name, options, joined, system)
    note = _account_note(name, seen, new_shell, home or seen.home, joined, made)
    _record(name, seen, shell, home, groups)
    yield Noted(_groupadd(made, system) + command, note)


@operation
def keys(user: str, authorized: Sequence[str], /, *, home: str | None = None) -> Commands:
    """Let public keys log in to an account; keys that others put there stay.

    They stand in a marked block of ~/.ssh/authorized_keys. Raises PlanError for what is not
    a public key, and where ~/.ssh is a link, through which root would write elsewhere.
    """
    for key in authorized:
        _check_key(user, key)
    seen = host.get_fact(KeysFact, user=user, home=home or "")
    if seen.linked or seen.file.kind not in (Kind.ABSENT, Kind.FILE):
        raise PlanError(
            f"{seen.path} is not a plain file in a plain directory, and is not written as root",
            hint="look at what the account's owner did there",
        )
    before = b"" if seen.file.kind is Kind.ABSENT else seen.file.content
    if before is None:
        raise PlanError(f"{seen.path} is too large to be a file of authorized keys")
    after = merge_block(before, "\n".join(dict.fromkeys(authorized)) if authorized else None)
    if after == before:
        return
    yield from _write_keys(user, seen.path, seen.file, after)


def _write_keys(user: str, path: str, seen: PathState, after: bytes) -> Commands:
    new = seen.kind is Kind.ABSENT
    plain = temporary_beside(path)
    temporary, target = shlex.quote(plain), shlex.quote(path)
    folder = shlex.quote(posixpath.dirname(path))
    owner = shlex.quote(f"{user}:")  # with the account's own group
    note = Note(
        kind="file",
        name=path,
        action=Action.CREATE if new else Action.UPDATE,
        diff=difference.unified(seen.content or b"", after),
        after={"mode": "0600", "owner": user} if new else {},
        undo=f"rm -f {temporary}",
    )
    access = f"chmod 600 {temporary} && chown {owner} {temporary}"
    if not new:
        access = f"chmod {seen.mode} {temporary} && chown {seen.uid}:{seen.gid} {temporary}"
    make = "" if seen.parent else (
        f"mkdir -p {folder} && chown {owner} {folder} && chmod 700 {folder} && "
    )  # fmt: skip
    yield Noted(
        make + keep_before(path, seen)
        + f"rm -f {temporary} && ( umask 077; set -C; : > {temporary} )",
        note,
    )  # fmt: skip
    yield Content(after, plain)
    yield StringCommand(f"{access} && {flush(temporary)}mv -f {temporary} {target}")


def _check_key(user: str, key: str) -> None:
    if "\n" in key or "\r" in key or not _KEY.search(key):
        shown = "it" if "PRIVATE" in key or "\n" in key else f"`{key[:40]}`"
        raise PlanError(
            f"one of the authorized keys of {user} is not a public key: {shown} is not of the "
            "form `ssh-ed25519 AAAA… comment`",
            hint="take the line of a .pub file",
        )


def _options(shell: str | None, home: str | None) -> str:
    return "".join(
        f" {flag} {shlex.quote(value)}" for flag, value in (("-s", shell), ("-d", home)) if value
    )


def _groupadd(made: Sequence[str], system: bool) -> str:
    """Make groups, unless a package of this plan has made them before; ends in ` && `."""
    return "".join(
        f"{{ getent group {g} >/dev/null || groupadd {'-r ' if system else ''}{g}; }} && "
        for g in map(shlex.quote, made)
    )


def _useradd(name: str, options: str, groups: Sequence[str], system: bool) -> str:
    kind = "-r -M" if system else "-m"
    member = f" -G {shlex.quote(','.join(groups))}" if groups else ""
    own = shlex.quote(name)  # its own group, which may be there already
    own = f"$(getent group {own} >/dev/null && echo -g {own} || echo -U)"
    make = f"useradd {kind} {own}{options}{member} {shlex.quote(name)}"
    if not effects().packages:
        return make
    # Packages that come before in this plan may bring the account with them.
    given = f"usermod{options}{' -a' + member if member else ''} {shlex.quote(name)}"
    change = given if options or member else ":"
    return f"if getent passwd {shlex.quote(name)} >/dev/null; then {change}; else {make}; fi"


def _usermod(name: str, options: str, joined: Sequence[str]) -> str:
    member = f" -a -G {shlex.quote(','.join(joined))}" if joined else ""
    return f"usermod{options}{member} {shlex.quote(name)}"


def _record(
    name: str, seen: UserState, shell: str | None, home: str | None, groups: Sequence[str]
) -> None:
    effects().users.add(name)
    effects().accounts[name] = UserState(
        exists=True,
        uid=seen.uid,
        home=home or seen.home,
        shell=shell or seen.shell,
        groups=seen.groups | set(groups),
        known_groups=seen.known_groups | set(groups),
    )


def _account_note(
    name: str,
    seen: UserState,
    shell: str | None,
    home: str,
    joined: Sequence[str],
    made: Sequence[str],
) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    for what, old, new in (("shell", seen.shell, shell), ("home", seen.home, home)):
        if new and not seen.exists:
            after[what] = new
        elif new and new != old:
            before[what], after[what] = old, new
    if joined:
        after["groups"] = "in " + ", ".join(joined)
    if made:
        after["new groups"] = ", ".join(made)
    unknown = not seen.exists and effects().packages
    return Note(
        "user", name, Action.UPDATE if seen.exists else Action.CREATE, before=before, after=after,
        unknown=("whether a package brings the account or its groups",) if unknown else (),
    )  # fmt: skip

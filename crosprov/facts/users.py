"""Ask for an account, its groups, and which of some other groups are there, in one question."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra.api import FactBase

from crosprov.facts.files import Kind, PathState, path_question, path_state

KEYS_LIMIT = 1024 * 1024  # bytes of a file of authorized keys that is read


@dataclass(frozen=True, slots=True)
class UserState:
    """What was observed of an account; `known_groups` of those that were asked for."""

    exists: bool = False
    uid: str = ""
    home: str = ""  # of an account that is not there: where useradd would put it
    shell: str = ""
    groups: frozenset[str] = frozenset()
    known_groups: frozenset[str] = frozenset()


class UserFact(FactBase[UserState]):
    """Observe an account."""

    title = "user"

    def command(self, user: str, groups: Sequence[str] = ()) -> str:
        """Give the command; `groups` are looked up too, and so is the one named as the user."""
        name = shlex.quote(user)
        wanted = " ".join(shlex.quote(group) for group in sorted({*groups, user}))
        return (
            f'if p=$(getent passwd {name}); then echo "user $p"; echo "groups $(id -Gn {name})"; '
            "else base=$(useradd -D 2>/dev/null | sed -n 's/^HOME=//p'); "
            f'echo "base ${{base:-/home}}/"{name}; fi; '
            f'for g in {wanted}; do getent group "$g" >/dev/null && echo "group $g"; done; :'
        )

    @staticmethod
    def default() -> UserState:
        return UserState()

    def process(self, output: list[str]) -> UserState:
        said: dict[str, list[str]] = {}
        for line in output:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        known = frozenset(said.get("group", ()))
        if "user" not in said:
            return UserState(home=said.get("base", [""])[0], known_groups=known)
        # name:password:uid:gid:comment:home:shell, where the comment may hold anything but ":"
        fields = said["user"][0].split(":")
        return UserState(
            exists=True,
            uid=fields[2],
            home=fields[5],
            shell=fields[6],
            groups=frozenset(said.get("groups", [""])[0].split()),
            known_groups=known,
        )


@dataclass(frozen=True, slots=True)
class KeysState:
    """Where an account's authorized keys are looked for, and what stands there."""

    path: str
    file: PathState
    linked: bool = False  # the directory is a link, so that root must not write through it


class KeysFact(FactBase[KeysState]):
    """Observe an account's authorized keys; `home` is where it will be when it is made."""

    title = "authorized keys of"

    def command(self, user: str, home: str = "") -> str:
        name = shlex.quote(user)
        find = (
            f"h=$(getent passwd {name} | cut -d: -f6); "
            "[ -n \"$h\" ] || h=$(useradd -D 2>/dev/null | sed -n 's/^HOME=//p')/" + name + "; "
        )
        if home:
            find = f"h={shlex.quote(home)}; "
        return (
            find + 'echo "$h/.ssh/authorized_keys"; '
            '[ ! -L "$h/.ssh" ] && echo plain || echo linked; '
            + path_question('"$h/.ssh/authorized_keys"', limit=KEYS_LIMIT)
        )

    @staticmethod
    def default() -> KeysState:
        return KeysState("", PathState(Kind.ABSENT))

    def process(self, output: list[str]) -> KeysState:
        return KeysState(output[0], path_state(output[2:]), output[1] == "linked")

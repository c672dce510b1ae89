"""Membership of an account in a group, whoever looks after the account."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from crosprov.errors import PlanError
from crosprov.facts.users import UserFact
from crosprov.operations.effects import effects
from crosprov.operations.note import Note, Noted
from crosprov.planning.plan import Action


@operation()
def member(user: str, group: str, /) -> Iterator[PyinfraCommand]:
    """Put an account into a group; its shell, home and other groups stay as they are.

    A group that is still missing when the command runs is made. Raises PlanError for an account
    that is not on the host, and that nothing in this plan makes.
    """
    observed = host.get_fact(UserFact, user=user, groups=(group,))
    seen = effects().accounts.get(user, observed)
    if group in seen.groups:
        return
    if not seen.exists and user not in effects().users:
        raise PlanError(
            f"there is no account {user} on the host to put into the group {group}",
            hint=f"describe it under common: users: {user}",
        )
    after: dict[str, str | None] = {"member": group}
    if group not in seen.known_groups:
        after["group"] = "made, unless a package of this plan makes it"
    name, into = shlex.quote(user), shlex.quote(group)
    yield Noted(
        f"{{ getent group {into} >/dev/null || groupadd --system {into}; }} && "
        f"usermod -a -G {into} {name}",
        Note("member", f"{user} of {group}", Action.UPDATE, after=after),
    )

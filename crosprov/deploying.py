"""Find what makes a host of the inventory: the deploys of its roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import cast

from crosprov.errors import PlanError
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.lab import Host, Lab
from crosprov.inventory.secret_places import worded
from crosprov.planning.engine import RoleDeploy
from crosprov.planning.planner import HostModel
from crosprov.roles import common
from crosprov.roles.modules import load
from crosprov.secrets import HASHED, vault

Deploy = Callable[[Lab, Host], object]

_PACKAGE = "crosprov.deploys"
_STATE = "/var/lib/crosprov"
_STATE_OF_A_DUT = "/mnt/stateful_partition/crosprov"  # all else is read-only or lost at boot


def host_model(lab: Lab, host: Host) -> HostModel:
    """Bind the deploys of a host's roles, in the order in which they are applied.

    Raises PlanError for a role that has no deploy.
    """
    state = _STATE_OF_A_DUT if host.plays("dut") else _STATE
    return HostModel(host.name, role_deploys(lab, host), host.ssh_target(), state)


def role_deploys(lab: Lab, host: Host) -> tuple[RoleDeploy, ...]:
    """Bind the deploy of each role in its order, then what roles leave for the end.

    A role whose module defines a deploy `finish` beside `deploy` has it called after the
    deploys of all roles: by then everything is there that another role brings. Raises PlanError
    for a role that has no deploy.
    """
    ends = ((role, getattr(_module(role), "finish", None)) for role in host.roles)
    return (
        *(RoleDeploy(role, partial(find(role), lab, host)) for role in host.roles),
        *(RoleDeploy(role, partial(end, lab, host)) for role, end in ends if callable(end)),
    )


def find(role: str) -> Deploy:
    """Find the deploy of a role: the function `deploy` of the module of the same name.

    Raises PlanError when there is none, CrosprovError when its module cannot be imported.
    """
    found = getattr(_module(role), "deploy", None)
    if not callable(found):
        raise PlanError(
            f"deploys/{role}.py defines no function deploy",
            hint="write a pyinfra deploy that takes a lab and a host",
        )
    return cast(Deploy, found)


def _module(role: str) -> ModuleType:
    name = f"{_PACKAGE}.{role}"
    if find_spec(name) is None:
        raise PlanError(
            f"the role {role} has no deploy, so nothing is known about how to make it",
            hint=f"write deploys/{role}.py with a pyinfra deploy named deploy",
        )
    return load(name, f"deploys/{role}.py")


def base_url(address: str, port: int) -> str:
    """Word the root of a web server, without a slash at its end."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def describes(host: Host, path: str) -> bool:
    """Tell whether the host's section `common` says itself what stands at a path.

    Other roles then leave the path to it: a folder of theirs may be a link to a larger disk, or
    belong to somebody else.
    """
    if not host.plays("common"):
        return False
    wanted = host.settings(common.Settings)
    return path in wanted.directories or path in wanted.links


def secret(lab: Lab, reference: SecretRef, *, salt: str | Sequence[str] | None = None) -> str:
    """Give the token of a secret; it may stand in a file's content and nowhere else.

    With a salt it stands for what `crosprov.derivation` makes of the secret with that: a hash,
    or another password. Raises SecretError when the reference leads to nothing.
    """
    given = dict(worded(reference))
    if salt is not None:
        given[HASHED] = salt if isinstance(salt, str) else list(salt)
    return vault.token(given, lab.folder)

"""Make a session from the options that plan, apply and status share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crosprov.errors import UsageError

if TYPE_CHECKING:
    from crosprov.session import Session


def open_session(
    inventory: Path,
    limit: str | None,
    role: str | None,
    twin: bool,
    parallel: int,
    accept_new_host_keys: bool,
) -> Session:
    """Load the inventory, choose hosts, and bind them to the real lab or to its twin."""
    from crosprov.planning.planfile import looks_like_plan
    from crosprov.session import Session

    if looks_like_plan(inventory):
        raise UsageError(
            f"{inventory} is a saved plan, not an inventory",
            hint=f"crosprov apply {inventory} applies it",
        )
    session = Session.open(inventory, limit, role)
    session.parallel = parallel
    session.accept_new_host_keys = accept_new_host_keys
    if twin:
        from crosprov.twinning import twin_of

        session.reach = twin_of(session.lab).target
    return session

"""Check a configuration before the restart that would use it."""

from __future__ import annotations

from pyinfra import host

from crosprov.facts.units import UnitFact
from crosprov.operations import marks
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action


@operation
def nginx_configuration(unit: str) -> Commands:
    """Let nginx read its configuration before a restart of its unit that is due.

    A restart stops first, so a wrong file would end a service that still runs well. Nothing is
    done when no restart is due.
    """
    seen = host.get_fact(UnitFact, unit=unit, mark=marks.mark_of(unit))
    if not effects().restart_due(unit, marked=seen.due):
        return
    note = Note("check", "nginx configuration", Action.RUN, after={"checked": "before a restart"})
    yield Noted("nginx -t -q -g 'daemon on; master_process on;'", note)

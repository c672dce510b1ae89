"""Say how each host is: as the inventory says, drifted, not ready, not reached."""

from __future__ import annotations

from pydantic import Field

from crosprov.planning.plan import Frozen, Plan
from crosprov.report.style import PLAIN, Style, columns, count


class HostStatus(Frozen):
    """How one host is now."""

    host: str
    roles: tuple[str, ...] = ()
    reached: bool = True
    planned: bool = True
    about: dict[str, str] = Field(
        {},
        description="what was observed and is worth showing, by its name: of a DUT the board, "
        "release version, channel, updates from (the address that update_engine asks by its own "
        "rules) and update engine (what it does); of a dev server what it is and builds staged",
    )
    drift: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    message: str | None = None
    hint: str | None = None

    @property
    def good(self) -> bool:
        """Tell whether nothing is to be said against the host."""
        return self.planned and not self.drift and not self.unready


class LabStatus(Frozen):
    """How a lab is now."""

    lab: str
    created: str
    hosts: tuple[HostStatus, ...]

    @property
    def exit_code(self) -> int:
        """Give 4 when a host was not reached or planned, 2 for drift or an unready service."""
        if any(not host.planned for host in self.hosts):
            return 4
        return 0 if all(host.good for host in self.hosts) else 2


def status_of(plan: Plan, unready: dict[str, tuple[str, ...]]) -> LabStatus:
    """Make the status from a plan and from the readiness questions that went wrong."""
    reached = [
        HostStatus(
            host=host.host, roles=host.roles, about=host.about, unready=unready.get(host.host, ()),
            drift=tuple(f"{change.action.value} {change.resource}" for change in host.changes),
        )
        for host in plan.hosts
    ]  # fmt: skip
    missed = [
        HostStatus(host=f.host, reached=f.reached, planned=False, message=f.message, hint=f.hint)
        for f in plan.failures
    ]
    return LabStatus(lab=plan.lab, created=plan.created, hosts=(*reached, *missed))


def render(status: LabStatus, style: Style = PLAIN) -> str:
    """Give the text of a status: a line per host, and what is wrong below it."""
    width = max((len(host.host) for host in status.hosts), default=0)
    lines = []
    for host in status.hosts:
        word, colour = _word(host)
        roles = ", ".join(host.roles)
        lines.append(f"{host.host:{width}}  {style.paint(f'{word:<12}', colour)} {roles}".rstrip())
        lines += [f"{'':{width}}    {text}" for text in _details(host)]
    good = sum(host.good for host in status.hosts)
    lines.append(style.paint(f"{good} of {count(len(status.hosts), 'host')} in order", "bold"))
    return "\n".join(lines) + "\n"


def _word(host: HostStatus) -> tuple[str, str]:
    if not host.reached:
        return "not reached", "red"
    if not host.planned:
        return "not planned", "red"
    if host.drift:
        return "drift", "yellow"
    return ("not ready", "red") if host.unready else ("in order", "green")


def _details(host: HostStatus) -> list[str]:
    details = [*columns(host.about), *host.drift, *(f"not ready: {text}" for text in host.unready)]
    if host.message:
        details.append(host.message)
    if host.hint:
        details.append(f"hint: {host.hint}")
    return details

"""Word the end of a run for people."""

from __future__ import annotations

from crosprov.execution.apply import HostReport, Report
from crosprov.execution.events import Outcome
from crosprov.report.style import PLAIN, Style, about, count, names

_COLOUR = {
    Outcome.UNCHANGED: "dim",
    Outcome.CHANGED: "green",
    Outcome.FAILED: "red",
    Outcome.UNREACHED: "red",
    Outcome.NOT_PLANNED: "red",
    Outcome.BLOCKED: "yellow",
    Outcome.NOT_CONVERGED: "red",
    Outcome.INTERRUPTED: "yellow",
}


def render(report: Report, style: Style = PLAIN) -> str:
    """Give the text of a report: what went wrong per host, then a line per outcome."""
    lines: list[str] = []
    for host in report.hosts:
        lines += _trouble(host, style)
    for outcome in Outcome:
        hosts = [host.host for host in report.hosts if host.outcome is outcome]
        if hosts:
            word = style.paint(f"{outcome.value:>13}", _COLOUR[outcome])
            lines.append(f"{word}  {names(hosts)}")
    done = sum(len(host.done) for host in report.hosts)
    lines.append(style.paint(_verdict(report, done), "bold"))
    return "\n".join(lines) + "\n"


def _verdict(report: Report, done: int) -> str:
    trips = f"({count(report.round_trips, 'round trip')})"
    if report.converged and not done:
        return f"Nothing to do: {count(len(report.hosts), 'host')} as the inventory says {trips}"
    if report.converged and not report.verified:
        return f"Done: {count(done, 'change')}, all that was in the plan {trips}"
    if report.converged:
        return f"Done: {count(done, 'change')}; a second plan of the changed hosts is empty {trips}"
    bad = sum(not host.outcome.good for host in report.hosts)
    return (
        f"Not done: {count(bad, 'host')} of {len(report.hosts)} not as the inventory says, "
        f"{count(done, 'change')} carried out {trips}"
    )


def _trouble(host: HostReport, style: Style) -> list[str]:
    if host.outcome is Outcome.BLOCKED:
        return [style.paint(f"{host.host}: left untouched, because it needs {host.blocked_by}",
                            "yellow")]  # fmt: skip
    if host.outcome is Outcome.NOT_CONVERGED:
        left = ", ".join(f"{change.action} {change.resource}" for change in host.left)
        return [style.paint(f"{host.host}: after its changes there is still to do: {left}", "red")]
    if host.message is None:
        return []
    lines = [style.paint(about(host.host, host.message), "red")]
    return [*lines, f"  hint: {host.hint}"] if host.hint else lines

"""Word a plan for people: per host the changes with their marks and diffs, then a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from crosprov.planning.plan import (
    Action,
    Change,
    HostFailure,
    HostPlan,
    Plan,
    Reboot,
    Send,
    Shell,
    Write,
)
from crosprov.planning.preamble import PROGRESS
from crosprov.report.style import PLAIN, Style, about, columns, count, names, seconds

_COLOUR = {
    Action.CREATE: "green", Action.UPDATE: "yellow", Action.DELETE: "red", Action.RUN: "cyan",
}  # fmt: skip
_INDENT = " " * 6
_FOLDED = 40  # lines of a diff that are shown; people ask for more with --verbose
_BEGINNING = 15  # of a file that is new as a whole: there is nothing to compare


def render(plan: Plan, style: Style = PLAIN, *, verbose: bool = False) -> str:
    """Give the text of a plan; hosts whose changes read the same are shown once.

    `verbose` shows the commands of each change, and long diffs whole.
    """
    lines: list[str] = []
    for hosts in _alike(plan.hosts, verbose):
        if _silent(hosts[0], verbose):
            continue
        lines += [*_host(hosts, style, verbose), ""]
    for failure in plan.failures:
        lines += [*_failure(failure, style), ""]
    still = [host.host for host in plan.hosts if _silent(host, verbose)]
    if still:
        lines.append(f"nothing to do on {names(still)}")
    lines.append(style.paint(summary(plan), "bold"))
    return "\n".join(lines) + "\n"


def summary(plan: Plan) -> str:
    """Give the last line of a plan."""
    counts = Counter(change.action for host in plan.hosts for change in host.changes)
    changed = sum(not host.empty for host in plan.hosts)
    trips = f"({count(plan.round_trips, 'round trip')} to {count(len(plan.hosts), 'host')})"
    failed = f"; {count(len(plan.failures), 'host')} could not be planned" if plan.failures else ""
    if not counts and not plan.hosts:
        return f"Plan: none; {count(len(plan.failures), 'host')} could not be planned"
    if not counts:
        return f"Plan: nothing to do{failed} {trips}"
    parts = [f"{counts[action]} to {action.value}" for action in Action if counts[action]]
    reboots = sum(len(host.reboots) for host in plan.hosts)
    reboot = f", with {count(reboots, 'reboot')}" if reboots else ""
    return f"Plan: {', '.join(parts)} on {count(changed, 'host')}{reboot}{failed} {trips}"


def _silent(host: HostPlan, verbose: bool) -> bool:
    """Tell whether nothing is to be said of a host."""
    return host.empty and not host.notices and not (verbose and host.about)


def _alike(hosts: tuple[HostPlan, ...], verbose: bool) -> list[list[HostPlan]]:
    """Put hosts together whose plans read the same."""
    groups: dict[tuple[object, ...], list[HostPlan]] = {}
    for host in hosts:
        key = (
            host.roles,
            host.notices,
            str(host.about) if verbose else "",
            tuple((str(c.resource), c.action, c.diff, str(c.before), str(c.after), c.reboots)
                  for c in host.changes),
        )  # fmt: skip
        groups.setdefault(key, []).append(host)
    return list(groups.values())


def _host(hosts: list[HostPlan], style: Style, verbose: bool) -> Iterator[str]:
    first = hosts[0]
    title = style.paint(names([host.host for host in hosts]), "bold")
    alike = ", all alike" if len(hosts) > 1 else ""
    changes = "nothing to do" if first.empty else count(len(first.changes), "change")
    yield f"{title}  ({', '.join(first.roles)}{alike}): {changes}"
    yield from (f"  {line}" for line in columns(first.about) if verbose)
    for notice in first.notices:
        yield style.paint(f"  ! {notice}", "yellow")
    for change in first.changes:
        yield from _change(change, style, verbose)
        if verbose:
            yield from _steps(change, style)


def _change(change: Change, style: Style, verbose: bool) -> Iterator[str]:
    colour = _COLOUR[change.action]
    restarts = f"  (restarts {', '.join(change.restarts)})" if change.restarts else ""
    head = f"  {change.action.mark} {change.resource}"
    yield style.paint(head, colour) + style.paint(restarts, "dim")
    yield from _attributes(change)
    for what in change.unknown:
        yield f"{_INDENT}{style.paint(f'known after apply: {what}', 'cyan')}"
    for reboot in change.reboots:
        waits = f"waits {seconds(reboot.within)} for it"
        yield _INDENT + style.paint(f"! reboots the host ({waits})", "yellow")
    if change.diff:
        most = _BEGINNING if change.action is Action.CREATE else _FOLDED
        lines = change.diff.split("\n")
        shown = lines if verbose or len(lines) <= most + 5 else lines[:most]
        yield from (_INDENT + line for line in _diff(shown, len(lines) - len(shown), style))


def _attributes(change: Change) -> Iterator[str]:
    for key in dict.fromkeys([*change.before, *change.after]):
        old, new = change.before.get(key), change.after.get(key)
        if key not in change.before:
            yield f"{_INDENT}{key}: {new}"
        elif key not in change.after:
            yield f"{_INDENT}{key}: {old} → (none)" if old else f"{_INDENT}{key}: {new}"
        else:
            yield f"{_INDENT}{key}: {old or '(none)'} → {new or '(none)'}"


def _diff(shown: list[str], more: int, style: Style) -> Iterator[str]:
    yield from (_diff_line(line, style) for line in shown)
    if more:
        yield style.paint(f"… {more} more lines (--verbose shows them)", "dim")


def _diff_line(line: str, style: Style) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return style.paint(line, colour) if colour else line


def _steps(change: Change, style: Style) -> Iterator[str]:
    for step in change.steps:
        match step:
            case Shell():
                text = step.command.removeprefix(PROGRESS)
            case Write():
                text = f"write {len(step.content)} bytes to {step.path}"
            case Send():
                text = f"send {step.source} ({step.size} bytes) to {step.path}"
            case Reboot():
                text = f"reboot, and wait {seconds(step.within)} for another boot id"
        for line in text.split("\n"):
            yield _INDENT + style.paint(f"$ {line}", "dim")


def _failure(failure: HostFailure, style: Style) -> Iterator[str]:
    yield style.paint(about(failure.host, failure.message), "red")
    if failure.hint:
        yield f"  hint: {failure.hint}"

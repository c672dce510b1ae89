"""Carry one host's plan out, exactly, over its transport."""

from __future__ import annotations

import re
import threading

from crosprov.errors import ChangeFailed, HostBusy, HostError, HostSilent, StalePlan
from crosprov.execution.events import Emit, Sending
from crosprov.execution.listener import Listener
from crosprov.execution.rebooting import ComeBack, Departure, Return
from crosprov.execution.script import SHOWN_OUTPUT, Script, receive, sends
from crosprov.last_words import taken_apart
from crosprov.planning.lock import busy
from crosprov.planning.plan import HostPlan, Send
from crosprov.secrets import Vault
from crosprov.transport.base import Completed, Transport

_CAUSE = re.compile(
    r"^(E|error|fatal|fail(ed|ure)?|docker|[\w.]+Error)\b.*: |\b(cannot|could not|can't|failed"
    r"|no such|not found|denied|refused|no space left|timed out|unable|invalid)\b",
    re.IGNORECASE,
)  # what a line says that says why something failed
_LAST_WORDS = 5.0  # seconds in which a host that is told to reboot may say that it cannot


def carry_out(
    plan: HostPlan,
    transport: Transport,
    *,
    vault: Vault,
    who: str,
    run: str,
    emit: Emit,
    come_back: ComeBack | None = None,
) -> None:
    """Carry out all changes of a host's plan, in order; those that are done are emitted.

    `come_back` gives the connection after a reboot; without it the same one is asked on.
    Raises ChangeFailed at the first change that fails (the others are not tried), HostBusy when
    another run is at work on the host, HostSilent when the connection goes away before the end,
    HostGone when the host does not come back from a reboot.
    """
    if plan.empty:
        return
    for send in sends(plan):
        _send(plan, send, transport, emit)
    come_back = come_back or Return(lambda: transport, lambda: None, emit)
    script = Script(plan, who, run)
    done = 0
    for number, part in enumerate(script.parts):
        change = part.pieces[0].change
        heard = Listener(script, emit, vault, done=done, current=change)
        _carry_out_part(heard, number, transport)
        done = heard.done
        if part.reboot is not None and heard.boot_id is not None:
            change = part.pieces[-1].change
            transport = come_back(Departure(plan, change, part.reboot, heard.boot_id, done))


def _carry_out_part(heard: Listener, number: int, transport: Transport) -> None:
    """Run the script of a part to its end, or until its host goes down to reboot.

    Some hosts go without closing the connection, so it is closed here soon after they are told.
    """
    script = heard.script
    limit = script.parts[number].limit(script.plan.target.command_timeout)
    text = script.text(heard.vault, number)
    leave = threading.Timer(_LAST_WORDS, transport.close)
    leave.daemon = True
    heard.on_reboot = leave.start
    try:
        done = transport.run("sh -s", stdin=text, timeout=limit, on_stdout=heard.feed)
    except HostSilent:
        if not heard.goes_down:
            raise
        return
    finally:
        leave.cancel()
    if not heard.goes_down:
        _judge(heard, number, done)


def _judge(heard: Listener, number: int, done: Completed) -> None:
    plan = heard.script.plan
    said = heard.vault.mask(_whole_lines(done.stderr).decode("utf-8", "replace")).strip()
    untouched = "nothing was changed on this host" if number == 0 else "it goes on from there"
    if heard.busy is not None:
        raise HostBusy(
            plan.host,
            busy(plan.host, heard.busy, heard.script.who),
            hint=f"wait for it to end, then apply again; {untouched}",
        )
    if heard.refused:
        raise HostError(
            plan.host,
            f"the records in {plan.state_dir} cannot be written: {_last(said) or 'no reason'}",
            hint=_hint_of_records(said, untouched),
        )
    if heard.failed is not None:
        change, code = heard.failed
        raise ChangeFailed(
            plan.host,
            f"{change.resource} could not be {change.action.past}: {_reason(code, said)}",
            hint=_hint(said),
        )
    if not heard.ended:
        raise HostSilent(
            plan.host,
            f"the connection ended after {heard.done} of {len(plan.changes)} changes"
            + (f" ({_last(said)})" if said else f" (status {done.status})"),
            hint="apply again: it starts from what is there",
        )


def _reason(code: int, said: str) -> str:
    """Give the one line that a command said, or all of it below its cause or its status.

    Most programs say last why they end; a last line that does not read like a cause is none.
    """
    if own := taken_apart(said):
        return f"{own[0]} (status {code})"
    if said and "\n" not in said:
        return f"{said} (status {code})"
    if _CAUSE.search(last := _last(said)):
        return f"{last.strip()} (status {code})\n{said}"
    return f"its command ended with status {code}" + (f"\n{said}" if said else "")


def _hint_of_records(said: str, untouched: str) -> str:
    if "ermission denied" in said:
        return f"log in as root, or set ssh.sudo: true; {untouched}"
    return f"is the disk full or read-only? {untouched.capitalize()}"


def _send(plan: HostPlan, send: Send, transport: Transport, emit: Emit) -> None:
    from crosprov.execution.upload import read_checked

    content = read_checked(send)
    if content is None:
        raise StalePlan(
            f"{send.source} is no longer the file that the plan was made with",
            hint="make a new plan; nothing was changed",
        )
    emit(Sending(plan.host, send.source, 0, send.size))
    done = transport.run(receive(send, plan.state_dir), stdin=content)
    if done.status != 0:
        said = _last(done.stderr.decode("utf-8", "replace"))
        raise HostError(
            plan.host, f"{send.source} could not be sent: {said or 'its digest differs'}",
            hint=_hint(said),
        )  # fmt: skip
    emit(Sending(plan.host, send.source, send.size, send.size))


def _whole_lines(output: bytes) -> bytes:
    """Drop what is left of a line that was cut: the rest of a secret is not recognised."""
    return output if len(output) < SHOWN_OUTPUT else output.partition(b"\n")[2]


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else ""


def _hint(said: str) -> str | None:
    if "No space left on device" in said:
        return "the disk is full: make room, then apply again"
    if "Read-only file system" in said:
        return "that file system is read-only on this host"
    own = taken_apart(said)
    if own and own[1]:
        return f"{own[1]}; then apply again"
    return "mend the cause and apply again: it goes on from there"

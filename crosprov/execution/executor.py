"""Carry one host's plan out, exactly, over its transport."""

from __future__ import annotations

from dataclasses import dataclass

from crosprov.errors import ChangeFailed, HostBusy, HostError, HostSilent, StalePlan
from crosprov.execution.events import ChangeDone, ChangeStarted, Emit, Sending
from crosprov.execution.script import SHOWN_OUTPUT, Script, receive, sends
from crosprov.planning.plan import Change, HostPlan, Send
from crosprov.secrets import Vault
from crosprov.transport.base import Transport


@dataclass(slots=True)
class Progress:
    """Follow what the script on the host says, line by line, as it says it."""

    script: Script
    emit: Emit
    done: int = 0
    failed: tuple[Change, int] | None = None
    busy: str | None = None
    refused: bool = False
    ended: bool = False
    _rest: bytes = b""

    def feed(self, output: bytes) -> None:
        """Take output in as it comes, in pieces of any size."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            words = line.decode("utf-8", "replace").split(" ", 2)
            if words[0] == self.script.marker:
                self._hear(words[1], words[2] if len(words) > 2 else "")

    def _hear(self, word: str, rest: str) -> None:
        plan = self.script.plan
        total = len(plan.changes)
        match word:
            case "begin":
                change = plan.changes[int(rest)]
                self.emit(ChangeStarted(plan.host, change, int(rest) + 1, total))
            case "done":
                change = plan.changes[int(rest)]
                self.done += 1
                self.emit(ChangeDone(plan.host, change, int(rest) + 1, total))
            case "failed":
                number, status = rest.split()
                self.failed = plan.changes[int(number)], int(status)
            case "busy":
                self.busy = rest.split(" ", 3)[-1]
            case "refused":
                self.refused = True
            case "end":
                self.ended = True


def carry_out(
    plan: HostPlan, transport: Transport, *, vault: Vault, who: str, run: str, emit: Emit
) -> None:
    """Carry out all changes of a host's plan, in order; those that are done are emitted.

    Raises ChangeFailed at the first one that fails (the others are not tried), HostBusy when
    another run is at work on the host, HostSilent when the connection goes away before the end.
    """
    if plan.empty:
        return
    for send in sends(plan):
        _send(plan, send, transport, emit)
    progress = Progress(Script(plan, who, run), emit)
    text = progress.script.text(vault)
    # One script holds many commands, and the limit is for each of them.
    limit = plan.target.command_timeout * len(plan.changes)
    done = transport.run("sh -s", stdin=text, timeout=limit, on_stdout=progress.feed)
    said = vault.mask(_whole_lines(done.stderr).decode("utf-8", "replace")).strip()
    _judge(plan, progress, said, done.status)


def _judge(plan: HostPlan, progress: Progress, said: str, status: int) -> None:
    if progress.busy is not None:
        raise HostBusy(
            plan.host, f"another run is at work on it: {progress.busy}",
            hint="wait for it to end; nothing was changed on this host",
        )  # fmt: skip
    if progress.refused:
        raise HostError(
            plan.host,
            f"the records in {plan.state_dir} cannot be written: {_last(said) or 'no reason'}",
            hint=_hint_of_records(said),
        )
    if progress.failed is not None:
        change, code = progress.failed
        raise ChangeFailed(
            plan.host,
            f"{change.resource} could not be {change.action.past}: its command ended with status "
            f"{code}" + (f"\n{said}" if said else ""),
            hint=_hint(said),
        )
    if not progress.ended:
        raise HostSilent(
            plan.host,
            f"the connection ended after {progress.done} of {len(plan.changes)} changes"
            + (f" ({_last(said)})" if said else f" (status {status})"),
            hint="apply again: it starts from what is there",
        )


def _hint_of_records(said: str) -> str:
    if "ermission denied" in said:
        return "log in as root, or set ssh.sudo: true. Nothing was changed on this host"
    return "is the disk full or read-only? Nothing was changed on this host"


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
    return "mend the cause and apply again: it goes on from there"

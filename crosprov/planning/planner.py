"""Make the exact plan of one host: draw, ask what is missing, draw again until nothing is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosprov.errors import HostBusy, HostSilent, PlanError
from crosprov.planning.batch import Answer, Batch, BatchCut
from crosprov.planning.lock import HELD, holder
from crosprov.planning.plan import Change, HostPlan, Observation, Readiness
from crosprov.secrets import vault

if TYPE_CHECKING:
    from crosprov.planning.engine import Drawing, RoleDeploy
    from crosprov.transport.base import SshTarget, Transport

_MOST_ROUNDS = 10
_MOST_WAIT_FOR_LOCK = 120.0  # seconds
_MOST_WAIT_FOR_ANSWER = 60.0  # seconds; questions are cheap, and a host may hang after login


@dataclass(frozen=True, slots=True)
class HostModel:
    """All that the planner needs to know of a host."""

    name: str
    deploys: Sequence[RoleDeploy]
    target: SshTarget
    state_dir: str = "/var/lib/crosprov"
    data: Mapping[str, object] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    readiness: tuple[Readiness, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """Name the roles, in the order in which they are applied."""
        return tuple(dict.fromkeys(deploy.role for deploy in self.deploys))


def draw(model: HostModel, answers: Mapping[str, Answer]) -> Drawing:
    """Draw a host's deploys once; see `crosprov.planning.engine.draw`."""
    from crosprov.planning import engine

    data = {**model.data, "crosprov_state_dir": model.state_dir}
    return engine.draw(model.name, data, model.deploys, answers)


def propose(
    model: HostModel,
    transport: Transport,
    first: Drawing | None = None,
    held: Callable[[str], None] = lambda owner: None,
) -> HostPlan:
    """Plan a host over its transport; `held` is told who is at work on it, while it waits.

    `first` is a drawing without answers, of this host or of one like it. Raises PlanError
    when the deploys are wrong about the host, HostError when the host does not answer, HostBusy
    when another run keeps it for over two minutes.
    """
    before = transport.round_trips
    drawing = first if first is not None else draw(model, {})
    answers: dict[str, Answer] = {}
    lock = HELD.format(state=model.state_dir)
    for _ in range(_MOST_ROUNDS):
        answers |= _ask_when_free(model, transport, drawing, lock, held)
        drawing = draw(model, answers)
        if not drawing.missing:
            return _plan(model, drawing, answers, transport.round_trips - before)
    raise PlanError(
        f"{model.name}: after {_MOST_ROUNDS} rounds the deploys still ask for more facts",
        hint="a fact whose command differs at each call can never be answered",
    )


def ask(
    target: SshTarget, transport: Transport, commands: Iterable[str], words: Mapping[str, str]
) -> dict[str, Answer]:
    """Ask a host all commands in one round trip; raises HostError when its answer is cut off."""
    batch = Batch.of(commands)
    limit = min(_MOST_WAIT_FOR_ANSWER, target.command_timeout)
    done = transport.run("sh -s", stdin=batch.script, timeout=limit)
    try:
        return batch.read(done.stdout, done.stderr)
    except BatchCut as error:
        asked = words.get(error.asked or "", "")
        said = vault.mask(done.stderr.decode("utf-8", "replace")).strip().splitlines()
        reason = f" (it said: {said[-1]})" if said else ""
        where = f" while it was asked for {asked}" if asked else ""
        raise HostSilent(
            target.name, f"the answer ended early{where}, with status {done.status}{reason}",
            hint="is there a POSIX shell `sh` on the host, and enough memory?",
        ) from None  # fmt: skip


def changed_facts(plan: HostPlan, transport: Transport) -> tuple[str, ...]:
    """Ask a host once more all that its plan rests on; name the facts whose answers differ."""
    words = {o.command: o.fact for o in plan.observed}
    answers = ask(plan.target, transport, words, words)
    return tuple(o.fact for o in plan.observed if answers[o.command].digest != o.digest)


def _ask_when_free(
    model: HostModel,
    transport: Transport,
    drawing: Drawing,
    lock: str,
    held: Callable[[str], None],
) -> dict[str, Answer]:
    """Ask what is missing; ask again as long as another run is at work on the host."""
    deadline = time.monotonic() + _MOST_WAIT_FOR_LOCK
    while True:
        answers = ask(model.target, transport, [lock, *drawing.missing], drawing.asked)
        owner = holder(answers.pop(lock))
        if owner is None:
            return answers
        if time.monotonic() > deadline:
            raise HostBusy(
                model.name,
                f"another run has been at work on {model.name} for two minutes: {owner}",
                hint="wait for it to end, or end it",
            )
        held(owner)
        time.sleep(1.0)


def _plan(
    model: HostModel, drawing: Drawing, answers: Mapping[str, Answer], round_trips: int
) -> HostPlan:
    changes = _merged(drawing.changes)
    _refuse_own_reboot(model, changes)
    observed = (
        Observation(fact=fact, command=command, digest=answers[command].digest)
        for command, fact in drawing.asked.items()
        if command not in drawing.idle
    )
    return HostPlan(
        host=model.name,
        roles=model.roles,
        state_dir=model.state_dir,
        target=model.target,
        needs=model.needs,
        readiness=model.readiness,
        changes=changes,
        notices=tuple(drawing.notices),
        about=drawing.about,
        observed=tuple(observed),
        round_trips=round_trips,
    )


def _refuse_own_reboot(model: HostModel, changes: Sequence[Change]) -> None:
    """Keep the controller from rebooting itself, which would end the run for all hosts."""
    rebooting = next((change for change in changes if change.reboots), None)
    if model.target.local and rebooting is not None:
        raise PlanError(
            f"{model.name} is this machine, and {rebooting.resource} would reboot it",
            hint="run crosprov from another machine for this host",
        )


def _merged(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Drop a change that a second role asks for in the very same way."""
    seen: dict[str, Change] = {}
    kept = []
    for change in changes:
        key = f"{change.resource}"
        if change.resource.kind != "operation" and key in seen and seen[key].steps == change.steps:
            continue
        seen[key] = change
        kept.append(change)
    return tuple(kept)

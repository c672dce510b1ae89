"""Whether a DUT reaches its server, asked from the DUT itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pyinfra import host

from crosprov.facts.http import HttpFact
from crosprov.operations.effects import effects
from crosprov.operations.looking import dut_state
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.override import Wish, changes
from crosprov.operations.readiness import answers_function, checked_url
from crosprov.operations.updating import runs
from crosprov.planning.plan import Action

ANY_ANSWER = "[1-5]??"
_REACHED_WITHIN = 5  # seconds: the server's own wave has waited for it already


@dataclass(frozen=True, slots=True)
class Question:
    """What a DUT asks its server, to see whether it reaches it."""

    url: str
    name: str  # of the server, for people
    key: str  # of the inventory, with which another address is given
    answers: str = "200"  # the statuses that will do, as a pattern of the shell's `case`


@operation
def reachable(
    question: Question, wishes: Sequence[Wish], *, want: tuple[str, str] | None = None
) -> Commands:
    """Make sure, before anything is changed for it, that the DUT itself reaches its server.

    Only when something is to be changed for it; else it is told by a notice. `want` is the label
    and the release version of the build that it shall run. Raises PlanError for what is not a
    URL.
    """
    url, name = checked_url(question.url), question.name
    seen = host.get_fact(HttpFact, url=url)
    if fnmatchcase(seen, question.answers):
        return
    answer = "no answer" if seen == "none" else seen
    if seen == "unable":
        effects().notices.append(f"it has nothing to ask {url} with, so crosprov does not know "
                                 f"whether it reaches {name}")  # fmt: skip
        return
    state = dut_state()
    updated = want is not None and not runs(*want, state)
    if not updated and not any(changes(wish, state) for wish in wishes):
        effects().notices.append(f"it does not reach {name}: {url}, asked from it: {answer}")
        return
    wanted = "any" if question.answers == ANY_ANSWER else question.answers
    yield Noted(
        answers_function(url, question.answers, _REACHED_WITHIN)
        + f"answers || {{ echo {shlex.quote(_unreached(question))} >&2; exit 1; }}",
        Note("probe", url, Action.RUN, before={"answer": answer}, after={"answer": wanted}),
    )


def _unreached(question: Question) -> str:
    return (
        f"this DUT does not reach {question.name}, so nothing was changed on it; is that up, and "
        f"is its address one of the DUT's network ({question.key})?"
    )

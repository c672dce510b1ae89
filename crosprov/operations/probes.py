"""Probes: a change that is done when a URL answers."""

from __future__ import annotations

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.http import HttpFact
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.readiness import READY_WITHIN, answers_function, checked_url
from crosprov.planning.plan import Action


@operation
def http_probe(url: str, /, *, status: int = 200, within: int = READY_WITHIN) -> Commands:
    """Make sure that a URL, asked on the host itself, answers with an HTTP status.

    Nothing is to be done when it answers now, unless an earlier change of this plan starts
    something: then it is asked after that. It may take `within` seconds; then the change fails
    with the last answer. Raises PlanError for what is not a URL.
    """
    checked_url(url)
    if not 100 <= status <= 599:
        raise PlanError(f"{status} is not an HTTP status that a probe can wait for")
    seen = host.get_fact(HttpFact, url=url)
    if seen == str(status) and not effects().restarted:
        return
    before: dict[str, str | None] = {}
    if seen != str(status):
        before["answer"] = "no answer" if seen == "none" else seen
    yield Noted(
        answers_function(url, str(status), within) + "answers",
        Note("probe", url, Action.RUN, before=before, after={"answer": str(status)}),
    )

"""Whether a host can be a factory server, before anything of it is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.factory.preflight import CLIENT_API, OLDEST_DOCKER, Intent, judge
from crosprov.facts.factory_host import FactoryHostFact
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

# What the plan could not tell of a Docker that it installs itself.
_DOCKER = r"""v=$(docker version -f '{{{{.Server.Version}}}}') || exit
a=$(docker version -f '{{{{.Server.MinAPIVersion}}}}' 2>/dev/null)
echo "${{v%%[!0-9.]*}} ${{a:-0}}" | awk '{{
  split($1, d, "."); split($2, a, ".")
  if ((d[1] * 1000 + d[2]) * 1000 + d[3] < {version}) {{
    print "Docker is " $1 ", and the factory server needs 1.10.3 or newer"; exit 1 }}
  if (a[1] * 1000 + a[2] > {api}) {{
    print "Docker " $1 " speaks API " $2 " and newer, and the client in the factory server" \
      "\047s image speaks 1.22: Dome could not start an Umpire"; exit 1 }}
}}' >&2"""


@operation
def factory_host(
    intent: Intent, /, *, places: Sequence[str], load: Callable[[], Mapping[str, int]]
) -> Commands:
    """Refuse a host that cannot be the factory server that is wanted, with all reasons at once.

    Nothing is changed. `places` are the folders that are measured. `load` gives the bytes that
    this plan brings to each of them; the PlanError that it raises is one of the reasons. What
    Docker is, when this plan brings it or another version of it, is asked after it did.
    """
    seen = host.get_fact(
        FactoryHostFact, shared=intent.shared_dir, places=tuple(places),
        ports=tuple(claimed.port for claimed in intent.ports if not claimed.udp_of),
        datagrams=tuple(claimed.port for claimed in intent.ports if claimed.udp_of),
    )  # fmt: skip
    problems = []
    if seen.root:
        try:
            intent = replace(intent, loads=load())
        except PlanError as error:
            problems.append((error.message, error.hint))
    later = seen.docker != "ok" or effects().brings_docker
    verdict = judge(intent, replace(seen, server="", oldest_api="") if later else seen)
    problems = [*verdict.problems, *problems]
    if problems:
        hints = dict.fromkeys(hint for _, hint in problems if hint)
        raise PlanError("; ".join(text for text, _ in problems), hint="; ".join(hints) or None)
    effects().notices.extend(verdict.warnings)
    if later:
        yield Noted(_docker_check(), Note(
            "check", "Docker of the factory server", Action.RUN,
            after={"version": "1.10.3 or newer", "API": "1.22"},
            unknown=("the version of Docker",),
        ))  # fmt: skip


def _docker_check() -> str:
    major, minor, patch = OLDEST_DOCKER
    return _DOCKER.format(
        api=CLIENT_API[0] * 1000 + CLIENT_API[1], version=(major * 1000 + minor) * 1000 + patch
    )

"""Docker containers that run what their spec says, replaced without a gap in what is safe.

A replaced container waits, stopped and renamed, until the new one runs; when that fails it
comes back. The script looks at the host again before it acts, so it also finishes what a run
that was killed has left behind, at whatever step that was.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.containers import (
    NEEDS,
    OLD,
    SPEC_HASH,
    ContainerFact,
    ContainerState,
    ids_of,
)
from crosprov.facts.docker import short_id
from crosprov.operations import marks
from crosprov.operations.container_spec import ContainerSpec
from crosprov.operations.docker_daemon import need_docker, what_docker_has
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.readiness import SUCCESS, answers_function, checked_url
from crosprov.planning.plan import Action

__all__ = ["ContainerSpec", "container"]


@operation
def container(
    name: str, spec: ContainerSpec, /, *, ready: str | None = None, answers: str = SUCCESS
) -> Commands:
    """Make a container run that was made from this spec and from the image as it is now.

    It is made anew when the spec changed, when the image's name points at another image, or
    when a container whose volumes or network it shares was made anew. One that stopped is
    started. `ready` is a URL that is asked on the host, for 30 s at most, before the replaced
    container is given up; `answers` is a pattern of the shell for the HTTP status that it wants.
    A file may name `NAME.container` among its restarts.

    Raises PlanError for a secret in the spec, for an image that is neither on the host nor
    loaded by this plan, and where Docker does not answer and nothing in this plan starts it.
    """
    spec.check(name)
    url = checked_url(ready) if ready else None
    mark = marks.mark_of(f"{name}.container")
    seen = host.get_fact(
        ContainerFact, container=name, image=spec.image, mark=mark, needs=spec.needs
    )
    unknown = _unknown(spec, seen)
    due = effects().restart_due(f"{name}.container", marked=seen.due)
    reasons = [] if unknown else _reasons(spec, seen)
    if not (unknown or reasons or due or seen.leftover or not seen.running):
        return
    effects().restart_done(f"{name}.container")
    if unknown or reasons:
        effects().recreated.add(name)
    yield Noted(
        _script(name, spec, answers_function(url, answers) if url else "", restart=due),
        _note(name, spec, seen, reasons, unknown=unknown, due=due, ready=url),
    )


def _unknown(spec: ContainerSpec, seen: ContainerState) -> bool:
    """Tell whether Docker is only about to come; refuse what can never be carried out."""
    known = need_docker(seen.docker, "it runs a container")
    if not seen.wanted_image and spec.image not in effects().images and seen.docker != "down":
        raise PlanError(
            f"the image {spec.image} is not on the host, and nothing in this plan brings it",
            hint="give its archive, or load it by hand with `docker load`",
        )
    return not known


def _reasons(spec: ContainerSpec, seen: ContainerState) -> list[str]:
    """Say why the container must be made, or made anew."""
    if not seen.exists:
        return ["it is not there"]
    reasons = []
    if seen.spec_hash != spec.digest:
        reasons.append("its spec changed" if seen.spec else "crosprov did not make it")
    if effects().image_differs(spec.image, seen.image, seen.wanted_image):
        reasons.append("its image changed")
    needed = [name for name in spec.needs if name in effects().recreated]
    if needed or seen.needs != seen.wanted_needs:
        reasons.append(f"{', '.join(needed or spec.needs)} was made anew")
    return reasons


_SCRIPT = """\
n={name} old={old}
has() {{ docker container inspect "$1" >/dev/null 2>&1; }}
ask() {{ docker container inspect -f "$1" "$n"; }}
status() {{ ask '{{{{.State.Status}}}} {{{{.RestartCount}}}} {{{{.State.StartedAt}}}}'; }}
failed() {{
  echo "the container $n does not run; the last lines that it said:" >&2
  docker logs --tail 20 "$n" >&2
  if has "$old"; then
    docker rm -f "$n" >/dev/null 2>&1
    docker rename "$old" "$n" && docker start "$n" >/dev/null &&
      echo "the container that it was to replace runs again" >&2
  fi
  exit 1
}}
stays_up() {{ # the same start, for two seconds
  first=$(status)
  for second in 1 2; do
    sleep 1
    now=$(status)
    case $now in running\\ *) [ "$now" = "$first" ] || return 1;; *) return 1;; esac
  done
}}
is_as_wanted() {{
  has "$n" && [ "$(ask '{labels}')" = "{hash} {needs}" ] &&
    [ "$(ask '{{{{.Image}}}}')" = "$(docker image inspect -f '{{{{.Id}}}}' {image})" ]
}}
make() {{
  if has "$n"; then
    if has "$old"; then docker rm -f "$n" >/dev/null || return  # never ran well: `old` did
    else
      docker stop "$n" >/dev/null && docker rename "$n" "$old" || {{ docker start "$n"; return 1; }}
    fi
  fi
  {run} >/dev/null
}}
start() {{
  case $(ask '{{{{.State.Status}}}}') in
    running) {restart};;
    paused) docker unpause "$n";;
    restarting|dead) docker restart "$n";;
    *) docker start "$n";;
  esac >/dev/null
}}
{mark}if is_as_wanted; then start || failed; else make || failed; fi
stays_up || failed
{ready}has "$old" && {{ docker rm -f "$old" >/dev/null || exit; }}
{clear}"""


def _script(name: str, spec: ContainerSpec, ready: str, *, restart: bool) -> str:
    label = f"{NEEDS}={ids_of(spec.needs)}"
    labels = '{{{{index .Config.Labels "{}"}}}} {{{{index .Config.Labels "{}"}}}}'
    body = _SCRIPT.format(
        name=shlex.quote(name),
        old=shlex.quote(name + OLD),
        labels=labels.format(SPEC_HASH, NEEDS),
        hash=spec.digest,
        needs=ids_of(spec.needs),
        image=shlex.quote(spec.image),
        run=spec.run_words(name, extra=f'--label "{label}" '),
        restart='docker restart "$n"' if restart else ":",
        mark=marks.leave(f"{name}.container") + ": || exit\n",
        ready="answers || failed\nstays_up || failed\n" if ready else "",
        clear=marks.clear(f"{name}.container"),
    )
    return ready + body


def _note(
    name: str,
    spec: ContainerSpec,
    seen: ContainerState,
    reasons: list[str],
    *,
    unknown: bool,
    due: bool,
    ready: str | None,
) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    if unknown or reasons:
        _compare_specs(spec, seen, before, after)
        if seen.exists:
            after["made anew"] = "; ".join(reasons)
    if seen.exists and not seen.running:
        before["status"], after["status"] = seen.status, "running"
    if seen.leftover:
        before["leftover"] = f"{name}{OLD}, of a run that was cut short"
    if due and not reasons and not unknown:
        after["restart"] = "a start that is due, or not known to have been good"
    if ready:
        after["ready"] = ready
    create = not seen.exists and seen.docker != "down"
    return Note(
        kind="container",
        name=name,
        action=Action.CREATE
        if create
        else Action.UPDATE
        if before or reasons or unknown
        else Action.RUN,
        before=before,
        after=after,
        unknown=(what_docker_has(seen.docker),) if unknown else (),
    )


def _compare_specs(
    spec: ContainerSpec,
    seen: ContainerState,
    before: dict[str, str | None],
    after: dict[str, str | None],
) -> None:
    old = dict(seen.spec or {})
    new = spec.as_dict
    for key in dict.fromkeys((*new, *old)):
        if old.get(key) != new.get(key):
            if key in old:
                before[key] = _words(old[key])
            after[key] = _words(new[key]) if key in new else None
    if seen.exists and effects().image_differs(spec.image, seen.image, seen.wanted_image):
        coming = effects().images.get(spec.image, seen.wanted_image)
        before["image id"] = short_id(seen.image)
        after["image id"] = short_id(coming) or "(known after apply)"


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(shlex.quote(str(item)) for item in value)
    return json.dumps(value, sort_keys=True)

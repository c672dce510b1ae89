"""The services of an Umpire's configuration: what is declared is merged into what is there.

Only what the inventory names is compared and changed. Dome takes whole services, so the merge is
made on the host, from the configuration that is active at that moment.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from crosprov.errors import PlanError
from crosprov.operations.dome_requests import PROJECT_TIME, Dome, body, functions
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.project_wish import Wish, dome_state, known, umpire_state
from crosprov.planning.plan import Action

Services = Mapping[Any, Mapping[str, Any]]  # the names are a type of their own in inventories
# Dome makes `inputHttp` and `input2` of other keys, or back, on the way to Umpire.
_KEY = re.compile(r"[a-z]+(?:_[a-z]+)*")
_COMMON = "active"  # what each service has

_MERGE = """\
import json, sys, xmlrpc.client
def merged(old, new):
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
(text,), _ = xmlrpc.client.loads(sys.stdin.read())
there, wanted = json.loads(text).get("services") or {}, json.loads(sys.argv[1])
made = {name: merged(there.get(name), value) for name, value in wanted.items()}
changed = {name: value for name, value in made.items() if there.get(name) != value}
print(json.dumps(changed, sort_keys=True) if changed else "")
"""


@operation
def services(wish: Wish, wanted: Services, /, *, dome: Dome) -> Commands:
    """Make the services of a project's Umpire have what is declared; all else in them stays.

    Raises PlanError for a service or a key that the schema of this Dome does not have, where Dome
    tells it, and for a key that Dome would rename.
    """
    schema = dome_state(dome, schema=True).schema
    _check(wish.name, wanted, schema or {})
    seen = umpire_state(dome, wish)
    is_known = known(dome, wish)
    differing = dict(_differing(seen.services if is_known else {}, wanted))
    if is_known and not differing:
        return
    note = Note(
        "services", wish.name, Action.UPDATE,
        before={key: _word(old) for key, (old, _) in differing.items() if old is not _NOTHING},
        after={key: _word(new) for key, (_, new) in differing.items()},
        unknown=() if is_known else ("what is configured: its Umpire has not run yet",),
        within=PROJECT_TIME,
    )  # fmt: skip
    yield Noted(_script(wish, wanted, dome), note)


_NOTHING = object()


def _differing(
    there: Mapping[str, Any], wanted: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, tuple[object, object]]]:
    for key, new in wanted.items():
        old = there.get(key, _NOTHING)
        if isinstance(new, Mapping) and new and (old is _NOTHING or isinstance(old, dict)):
            below = old if isinstance(old, dict) else {}
            yield from _differing(below, new, f"{path}{key}.")
        elif old != new or isinstance(old, bool) != isinstance(new, bool):
            yield path + key, (old, new)


def _word(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _check(project: str, wanted: Services, schema: Mapping[str, Any]) -> None:
    plain = {_plain(name): known for name, known in schema.items()}
    for name, keys in wanted.items():
        if schema and name not in plain:
            raise PlanError(
                f"the project {project} has the service {name}, which this Dome does not know",
                hint=f"it knows {', '.join(sorted(plain))}",
            )
        found = plain.get(name)
        properties = found.get("properties") if isinstance(found, dict) else None
        allowed = {_plain(key) for key in properties} if isinstance(properties, dict) else set()
        for key in keys:
            if allowed and key not in allowed | {_COMMON}:
                near = difflib.get_close_matches(key, allowed, 1)
                raise PlanError(
                    f"the service {name} of the project {project} has no key {key}",
                    hint=f"is {near[0]} meant?" if near
                    else f"it has {', '.join(sorted(allowed))}",
                )  # fmt: skip
        _check_keys(f"{project}, service {name}", keys)


def _check_keys(where: str, value: object) -> None:
    """Refuse keys that Dome's translation between two ways of writing them would not keep."""
    if isinstance(value, list | tuple):
        for one in value:
            _check_keys(where, one)
    if not isinstance(value, Mapping):
        return
    for key, below in value.items():
        if not _KEY.fullmatch(key):
            raise PlanError(
                f"project {where}: Dome would rename the key {key}",
                hint="keys of services are lower-case words joined by _",
            )
        _check_keys(where, below)


def _plain(key: str) -> str:
    """Undo what Dome does to a key when it tells it: `inputHttp` is `input_http`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", key)


def _script(wish: Wish, wanted: Services, dome: Dome) -> str:
    return (
        functions(dome, wish.name, wish.base)
        + f"merge={shlex.quote(_MERGE)} wanted={body(wanted)}\n"
        + r"""
changed() {
  active || fail "the Umpire of $project does not tell its configuration on port $base"
  printf %s "$config" | python "$merge" "$wanted" || fail "the configuration could not be read"
}
await_dome
await_umpire || fail "the Umpire of $project is not ready on port $base"
new=$(changed) || exit
[ -n "$new" ] || exit 0
dome PUT "/projects/$project/services/" "$new"
[ "$code" = 200 ] || fail "$(answered)"
await_umpire || fail "the Umpire of $project is not ready with its new services"
new=$(changed) || exit
[ -z "$new" ] || fail "Umpire did not keep what it was told: $new"
"""
    )

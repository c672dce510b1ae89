"""Bundles of resources that a project of Dome deploys: uploaded once, and made the active one.

A record on the host tells under which name Dome has the content of a file, by its sha256. It is
written before the upload, so that one that was cut short after Umpire took it is not repeated.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.bundle_choice import COPY, NOTHING, UPLOAD, choose
from crosprov.errors import PlanError
from crosprov.factory.resources import damage
from crosprov.facts.files import Kind, PathFact
from crosprov.localfiles import measured
from crosprov.operations.dome_requests import Dome, body, functions
from crosprov.operations.effects import state_dir
from crosprov.operations.note import Commands, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.project_wish import Wish, known, umpire_state
from crosprov.planning.plan import Action

UPLOADED_WITHIN = 7200  # seconds for Umpire to take a bundle apart
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_NOT_ANSWERING = "which bundles are there: its Umpire has not run yet"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on the controller: its path, its name in Dome without more, and its note there."""

    path: str
    name: str
    note: str = ""


@operation
def resource_bundle(wish: Wish, bundle: Bundle, /, *, dome: Dome) -> Commands:
    """Make a bundle of resources the active one of a project.

    It is sent only when Dome does not have its content. Raises PlanError for a file that cannot
    be read or is no whole zip or tar archive, and for a name that cannot stand in a path of Dome.
    """
    size, sha256 = _measured(bundle)
    record = _record(wish.name, sha256)
    recorded = _recorded(record)
    is_known = known(dome, wish)
    config = umpire_state(dome, wish).config or {}
    chosen = choose(config if is_known else {}, bundle.name, sha256, recorded)
    if is_known and chosen[0] == NOTHING:
        return
    sent = chosen[0] == UPLOAD and (is_known or not recorded)
    file = f"{record}.upload"
    note = Note(
        "bundle", f"{wish.name}/{bundle.name}", Action.CREATE if sent else Action.UPDATE,
        before=_before(config) if is_known else {},
        after=_after(bundle, chosen, is_known, f"{size} bytes, sha256 {sha256[:12]}"),
        unknown=() if is_known else (_NOT_ANSWERING,),
        undo=f"rm -f {shlex.quote(file)}", within=float(UPLOADED_WITHIN),
    )  # fmt: skip
    script = _script(wish, bundle, dome, sha256, record, file)
    if not sent:
        yield Noted(script, note)
        return
    place, folder = shlex.quote(file), shlex.quote(f"{state_dir()}/bundles")
    yield Noted(f"mkdir -p {folder} && rm -f {place} && ( umask 077; : > {place} )", note)
    yield LocalFile(bundle.path, size, sha256, file)
    yield StringCommand(script)


def unsent(project: str, bundle: Bundle) -> int:
    """Give how many bytes of a bundle the host did not take in yet: all of them, or none.

    Raises PlanError as `resource_bundle` does.
    """
    size, sha256 = _measured(bundle)
    whole = "\n" in _recorded(_record(project, sha256))  # the payloads are written last
    return 0 if whole else size


def _record(project: str, sha256: str) -> str:
    return f"{state_dir()}/bundles/{project}-{sha256}"


def _measured(bundle: Bundle) -> tuple[int, str]:
    if not _NAME.fullmatch(bundle.name):
        raise PlanError(
            f"{bundle.name!r} is not a name for a bundle that Dome can be asked for",
            hint="letters, digits and . _ + - will do; give it a name in the inventory",
        )
    try:
        size, sha256 = measured(bundle.path)
        why = damage(bundle.path) if size else "is empty"
    except OSError as error:
        raise PlanError(
            f"the bundle {bundle.path} cannot be read: {error.strerror}",
            hint="paths are relative to the inventory",
        ) from None
    if why is not None:
        raise PlanError(f"the bundle {bundle.path} {why}", hint="was its download cut short?")
    return size, sha256


def _recorded(record: str) -> str:
    seen = host.get_fact(PathFact, path=record, limit=4096)
    content = seen.content if seen.kind is Kind.FILE else None
    return (content or b"").decode("utf-8", "replace").rstrip("\n")


def _before(config: object) -> dict[str, str | None]:
    active = config.get("active_bundle_id") if isinstance(config, dict) else None
    return {"active": str(active)} if active else {}


def _after(
    bundle: Bundle, chosen: tuple[str, ...], is_known: bool, words: str
) -> dict[str, str | None]:
    verb, name = chosen[:2]
    after: dict[str, str | None] = {"active": name if is_known else bundle.name}
    if verb == UPLOAD:
        after["file"] = f"{PurePath(bundle.path).name} ({words})"
    if verb == COPY:
        after["content"] = f"that of {chosen[2]}, which is the same"
    elif is_known and name != bundle.name:
        why = "Dome has other content under this name, which stays"
        after["name"] = f"{name}: {why}"
    return after


@cache
def _program() -> str:
    return files("crosprov").joinpath("bundle_choice.py").read_text(encoding="utf-8")


_MAKE = r"""
choice() {
  active || fail "the Umpire of $project does not tell its configuration on port $base"
  printf %s "$config" | python "$program" choose "$name" "$sha256" "$(cat "$record" 2>/dev/null)"
}
at="/projects/$project/bundles/"
upload() {
  [ -s "$file" ] || fail "Dome does not have the bundle any more; apply again, and it is sent"
  echo "$found" > "$record.part" && mv "$record.part" "$record" || exit
  most=UPLOADED asked="POST /files/"
  answer=$(ask -F "file=@\"$file\";filename=\"$filename\"" "http://127.0.0.1:$port/files/")
  code=${answer##*"$nl"} body=${answer%"$nl"*}
  [ "$code" = 201 ] || { rm -f "$record"; fail "$(answered)"; }
  id=$(printf %s "$body" | python 'import json, sys; print(int(json.load(sys.stdin)["id"]))') ||
    fail "Dome did not tell the id of the file that it took"
  dome POST "$at" "{\"name\": \"$found\", \"note\": $note, \"bundleFileId\": $id}"
  case $code in
    201) ;;
    000|502|504) fail "$(answered); it may still be at work";;
    *) rm -f "$record"; fail "$(answered); what was active stays active";;
  esac
  rm -f "$file"
}
await_dome
await_umpire || fail "the Umpire of $project is not ready on port $base"
for turn in 1 2 3; do
  chosen=$(choice) || exit
  verb=${chosen%% *} found=${chosen#* } other=${found#* } found=${found%% *}
  case $verb in
    nothing) break;;
    activate) dome PUT "$at$found/" '{"active": true}'; [ "$code" = 200 ] || fail "$(answered)";;
    copy)
      dome PUT "$at$other/" "{\"newName\": \"$found\", \"active\": true, \"note\": $note}"
      [ "$code" = 200 ] || fail "$(answered)"
      echo "$found" > "$record.part" && mv "$record.part" "$record" || exit;;
    upload) upload;;
    *) fail "the configuration of the Umpire of $project could not be read";;
  esac
  await_umpire || fail "the Umpire of $project is not ready with its new bundle"
done
[ "$verb" = nothing ] || fail "the bundle $found did not become the active one"
active && payloads=$(printf %s "$config" | python "$program" payloads "$found") ||
  fail "the Umpire of $project does not tell its configuration on port $base"
printf '%s\n%s\n' "$found" "$payloads" > "$record.part" && mv "$record.part" "$record" &&
rm -f "$file"
"""


def _script(wish: Wish, bundle: Bundle, dome: Dome, sha256: str, record: str, file: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", PurePath(bundle.path).name)
    return (
        functions(dome, wish.name, wish.base)
        + f"name={shlex.quote(bundle.name)} sha256={sha256} note={body(bundle.note)}\n"
        f"record={shlex.quote(record)} file={shlex.quote(file)} filename={plain}\n"
        f"program={shlex.quote(_program())}\n" + _MAKE.replace("UPLOADED", str(UPLOADED_WITHIN))
    )

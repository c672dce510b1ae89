"""Restore a backup of a factory server: unpacked beside, compared, and only then put in place.

What was there is put aside within the shared folder, never deleted. Until everything unpacked is
proven to be what was backed up, Dome and the Umpires run on; killed at any instant, a second
restore finishes.
"""

from __future__ import annotations

import base64
import json
import math
import mmap
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from crosprov.errors import CrosprovError, HostError
from crosprov.factory import archive
from crosprov.factory.manifest import Entry, Manifest, differences, worded
from crosprov.factory.place import ASIDE, RESTORING, Place, Said
from crosprov.facts.container_names import umpire_of

TRIES = 120  # questions to Dome, a second apart, until it answers
_SPARE = 64 * 1024 * 1024  # bytes that stay free beside what is unpacked

Tell = Callable[[str, int, int], None]  # what was done, with bytes so far, and with all

# A shell that tar starts at times says how far it is, past the file that takes tar's complaints.
_UNPACKED = (
    r"""printf '\n%s unpacked %s\n' "$m" "$((TAR_CHECKPOINT * TAR_BLOCKING_FACTOR * 512))" >&5"""
)

_UNPACK = r"""
trap 'rm -rf "$S/lock"' EXIT
mkdir -p "$D" && cd "$D" || fail "$D cannot be made" 'is the disk full or read-only?'
other=$(find . -mindepth 1 \( -path "./$RESTORING" -o -path "./$ASIDE*" -o -name lost+found \) \
  -prune -o ! -type d -print -quit)
[ -z "$other" ] || [ "$REPLACE" = yes ] ||
  fail "$HOST has data of a factory server in $D already" \
    "--replace $HOST puts it aside, within $D"
have=$(known "$(version_of_image "$I")")
[ -z "$have" ] || [ -z "$WANT" ] || [ "$have" = "$WANT" ] ||
  fail "the backup is of version $WANT, and $HOST has $have" \
    "Dome's database belongs to its version: set version: $WANT, apply, and restore then"
( umask 077; mkdir -p "$RESTORING" ) && rm -rf "$RESTORING/data" "$RESTORING/token" &&
  mkdir "$RESTORING/data" || fail "$D/$RESTORING cannot be made" 'is the disk full or read-only?'
free=$(df -Pk . | awk 'NR == 2 { print $4 }')
leave() { rm -rf "$RESTORING/data" "$RESTORING/said"; rmdir "$RESTORING" 2>/dev/null; }
size_of() { # what is given in KiB
  awk -v n="$1" 'BEGIN { m = n * 1.024e-3
    if (m < 1000) printf "%.1f MB", m; else printf "%.1f GB", m / 1000 }'
}
[ "$free" -ge "$NEED" ] || {
  leave
  fail "$D has $(size_of "$free") free, and the backup needs $(size_of "$NEED")" \
    'make room; nothing was touched'
}
export m
if ! tar -x -p --same-owner --numeric-owner -C "$RESTORING/data" -f - --checkpoint=800 \
  --checkpoint-action="exec=$UNPACKED" 5>&2 2> "$RESTORING/said"; then
  why=$(grep -v '^tar: Exiting' "$RESTORING/said" | tail -n 1)
  leave
  fail "it could not be unpacked in $D: $why" 'what was there is untouched'
fi
rm -f "$RESTORING/data/$LIST"
sync -f "$RESTORING/data" 2>/dev/null || sync
printf '%s' "$TOKEN" > "$RESTORING/token"
cd "$RESTORING/data"
find . -mindepth 1 -printf '%y\t%m\t%U\t%G\t%s\t%T@\t%l\0%P\0'
printf -- '-\0'
find . -type f -print0 | xargs -0 -r sha256sum -z
"""

_PUT_IN_PLACE = r"""
trap 'rm -rf "$S/lock"' EXIT
cd "$D" && [ "$(cat "$RESTORING/token" 2>/dev/null)" = "$TOKEN" ] ||
  fail "another restore has begun on $HOST" 'what was there is untouched; try again'
R=$RESTORING

mine() {
  docker ps "$@" --format '{{.Names}}' 2>/dev/null |
    grep -E '^(dome_(uwsgi|nginx|tftp|mcast)|umpire_[-_0-9A-Za-z]+|overlord|overlord_lan_disc)$'
}
# What a restore that was killed has stopped counts as running.
{ cat "$R/running" 2>/dev/null; mine; } | sort -u > "$R/running.part" &&
  mv "$R/running.part" "$R/running" || fail "$D/$R takes no more" 'is the disk full?'
for c in $(sort -r "$R/running"); do
  case $(state_of "$c") in
    '' | created | exited) ;;
    paused) docker unpause "$c" && docker stop "$c";;
    *) docker stop "$c";;
  esac >/dev/null 2>"$R/said" || {
    for c in dome_uwsgi $(cat "$R/running"); do docker start "$c"; done >/dev/null 2>&1
    fail "$c could not be stopped: $(tail -n 1 "$R/said")" 'what was there is untouched'
  }
done

new_aside() {
  n=1
  while [ -e "$ASIDE$n" ]; do n=$((n + 1)); done
  mkdir -m 700 "$ASIDE$n" && printf '%s' "$ASIDE$n" > "$R/aside"
}
in_place() {
  find . -mindepth 1 -maxdepth 1 ! -name "$R" ! -name "$ASIDE*" ! -name lost+found "$@"
}
put_aside() {
  # A killed restore may have put only some of it aside: the rest belongs to that.
  [ -s "$R/aside" ] && [ -d "$(cat "$R/aside")" ] || : > "$R/aside"
  while [ -n "$(in_place -print -quit)" ]; do
    [ -s "$R/aside" ] || new_aside || return
    aside=$(cat "$R/aside")
    say aside "$aside"
    in_place -exec mv -n -t "$aside" {} +
    : > "$R/aside" # what is left by now has the name of something that is aside already
  done
}
if [ -e "$R/emptied" ]; then rm -f "$R/aside" "$R/emptied"; fi
put_aside && : > "$R/emptied" || fail "what is in $D could not be put aside" 'try again'
find "$R/data" -mindepth 1 -maxdepth 1 -exec mv -n -t . {} +
rmdir "$R/data" ||
  fail "what was restored could not be put in place" 'try again'
sync -f . 2>/dev/null || sync

up() { docker start "$1" >/dev/null 2>"$R/said" && say started "$1"; }
for c in dome_uwsgi dome_nginx $(grep -v '^dome_[un]' "$R/running"); do
  grep -qx "$c" "$R/running" && [ -n "$(state_of "$c")" ] || continue
  case $c in
    umpire_*) [ -d "umpire/${c#umpire_}" ] || { say left "$c"; continue; };;
    overlord*) [ -d overlord ] || { say left "$c"; continue; };;
  esac
  up "$c" || say unwilling "$c" "$(tail -n 1 "$R/said")"
done
grep -qx dome_nginx "$R/running" && dome=yes || dome=
rm -rf "$R"
n=0
while [ -n "$dome" ]; do
  told=$(curl -q -sS --noproxy '*' -m 5 -w '\n%{http_code}' "http://127.0.0.1:$PORT/projects/" 2>&1)
  case $told in
    *'
200')
      say projects "$(printf '%s\n' "$told" | sed '$d' | base64 | tr -d '\n')"
      break;;
  esac
  n=$((n + 1))
  [ $n -lt "$TRIES" ] || { 
      say silent "$(printf '%s\n' "$told" | grep -m 1 '^curl: ' ||
        printf 'status %s' "${told##*
}")"
      break; }
  sleep 1
done
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the backup's manifest, and what became of what was there.

    `aside` are folders within the shared folder, `left` containers that were not started because
    the backup has no data of theirs; `answered` tells whether there is a Dome that could answer.
    """

    manifest: Manifest
    aside: tuple[str, ...]
    started: tuple[str, ...]
    left: tuple[str, ...]
    answered: bool

    @property
    def without_umpire(self) -> tuple[str, ...]:
        """Name the enabled projects whose Umpire does not run: the next apply makes it."""
        return tuple(
            project.name
            for project in self.manifest.projects
            if project.enabled and umpire_of(project.name) not in self.started
        )


def restore(
    place: Place,
    path: Path,
    *,
    replace: bool = False,
    tell: Tell = lambda what, done, size: None,
) -> Restored:
    """Bring a factory server's data back, and verify it by every hash of its manifest.

    Without `replace` a host that has data is refused. Raises CrosprovError for an archive that
    is not whole and HostError for what fails; a host whose Dome does not answer with the
    backup's projects afterwards has failed, too. `tell` is told what was done with how many
    bytes of how many: they are read here, then sent and unpacked.
    """
    known = archive.check(path, partial(tell, "read"))
    token = secrets.token_hex(16)
    given = {
        "TOKEN": token, "HOST": place.host, "RESTORING": RESTORING, "ASIDE": ASIDE,
        "REPLACE": "yes" if replace else "", "WANT": known.image_version, "LIST": known.name,
        "NEED": str((known.size + _SPARE + 4096 * len(known.entries)) // 1024), "TRIES": str(TRIES),
        "UNPACKED": _UNPACKED,
    }  # fmt: skip
    with _mapped(path) as content:
        listed = bytearray()
        unpacked = _Unpacked(len(content), tell)
        place.run(
            _UNPACK, given, stdin=content, on_stdout=listed.extend, on_said=unpacked.heard
        )  # fmt: skip
    if wrong := differences(known.entries, listing(bytes(listed))):
        raise HostError(
            place.host, f"what was unpacked differs from the backup: {worded(wrong)}",
            hint="what was there is untouched; is the disk sound?",
        )  # fmt: skip
    return _judged(place, known, place.run(_PUT_IN_PLACE, given))


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """Tell how much of the archive the host has unpacked."""

    size: int
    tell: Tell

    def heard(self, line: bytes) -> None:
        word, _, text = line.partition(b" ")
        if word == b"unpacked" and text.strip().isdigit():
            self.tell("sent and unpacked", min(int(text), self.size), self.size)


def listing(output: bytes) -> dict[str, Entry]:
    """Read what the host says of the unpacked files: find's records, `-`, sha256sum's."""
    found: dict[str, Entry] = {}
    records = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    for record in records:
        if record == "-":
            break
        kind, mode, uid, gid, size, time, target = record.split("\t", 6)
        found[next(records)] = Entry(
            kind=kind, mode=int(mode, 8), uid=int(uid), gid=int(gid),
            time=math.floor(float(time)), size=int(size) if kind == "f" else 0, target=target,
        )  # fmt: skip
    for record in records:
        digest, _, name = record.partition("  ./")
        if name in found:
            found[name] = found[name].model_copy(update={"sha256": digest})
    return found


def _judged(place: Place, known: Manifest, said: Said) -> Restored:
    aside = said.all("aside")
    where = f"; what was there is in {place.shared_dir}/{aside[0]}" if aside else ""
    if unwilling := said.first("unwilling"):
        name, _, why = unwilling.partition(" ")
        raise HostError(
            place.host, f"the data is restored, but {name} does not start: {why}{where}",
            hint="crosprov apply makes it anew",
        )  # fmt: skip
    if "silent" in said.words:
        raise HostError(
            place.host,
            f"the data is restored, but Dome does not answer: {said.first('silent')}{where}",
            hint="docker logs dome_uwsgi tells more",
        )
    if "projects" in said.words:
        _check_projects(place, known, said.first("projects"), where)
    return Restored(
        known, aside, said.all("started"), said.all("left"), answered="projects" in said.words
    )


def _check_projects(place: Place, known: Manifest, answer: str, where: str) -> None:
    try:
        listed = json.loads(base64.b64decode(answer))
        names = sorted(project["name"] for project in listed)
    except (ValueError, TypeError, KeyError):
        names = []
    wanted = sorted(project.name for project in known.projects)
    if names != wanted:
        raise HostError(
            place.host,
            f"the data is restored, but Dome lists {', '.join(names) or 'no projects'} "
            f"in place of {', '.join(wanted) or 'none'}{where}",
            hint=f"is {place.shared_dir} the folder that Dome runs with?",
        )


@contextmanager
def _mapped(path: Path) -> Iterator[bytes]:
    """Give a file's bytes without reading them; transports take them in slices."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            yield cast(bytes, view)
    except ValueError as error:
        message = f"{path} cannot be read: {error}"
        raise CrosprovError(message, hint="take another copy of it; nothing was touched") from None

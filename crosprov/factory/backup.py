"""Back a factory server up: the state in its shared folder, as one archive on the controller.

Databases are copied by SQLite's own online backup, in the container that uses them, so Dome and
the Umpires go on working. Resources are named by their content and never change. The archive
streams from the host's tar to a part file here; only copies of databases are made on the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from crosprov.errors import CrosprovError, HostError, UsageError
from crosprov.factory import archive
from crosprov.factory.archive import DATABASE, Tell
from crosprov.factory.manifest import Manifest, Project, worded
from crosprov.factory.place import ASIDE, RESTORING, Place, Said
from crosprov.locks import locked

# What comes and goes by itself, and logs; relative to the shared folder, as py/umpire/server/
# umpire_env.py and py/dome/backend/models.py of platform/factory lay it out. The folders
# themselves are kept, empty.
_VOLATILE = r"umpire/[^/]+/(run|temp)/.*"
_LOGS = r"dome/log/.*|umpire/[^/]+/log/.*|multicast/.*"

# In a container, its own Python: the host needs none.
_COPY = """\
import os, shutil, sqlite3, sys, tempfile, urllib.parse
source = sqlite3.connect(
    "file:" + urllib.parse.quote(sys.argv[1]) + "?mode=rw", uri=True, timeout=60)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "copy")
    copy = sqlite3.connect(path)
    source.backup(copy)
    copy.close()
    with open(path, "rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
"""

_SCRIPT = r"""
W=$S/backup
trap 'rm -rf "$W" "$S/lock"' EXIT
umask 077
rm -rf "$W"
mkdir -p "$W/copies" || fail "$W cannot be made" 'is the disk full?'
cd "$D" 2>/dev/null && [ -s dome/db.sqlite3 ] ||
  fail "there is no Dome database in $D, so nothing to back up" 'crosprov apply sets Dome up'
printf '%s' "$COPY" > "$W/copy.py"
: > "$W/copied" && : > "$W/without"

found() {
  find . -mindepth 1 -regextype posix-extended -regex "\./($LEFT)" -prune -o \
    -name lost+found -prune -o ! -type s "$@" 2>/dev/null
}
mounted() { # container, path in it: what is mounted there
  docker container inspect -f '{{range .Mounts}}{{.Destination}} {{println .Source}}{{end}}' \
    "$1" 2>/dev/null | while read -r to from; do
      case $2 in "$to" | "$to"/*) readlink -f "$from${2#"$to"}"; break;; esac
    done
}
copy() { # a database's path: from the container that has it open, or as it lies there
  case $1 in
    dome/*) c=dome_uwsgi i=/var/db/factory/$1;;
    umpire/*/*) i=${1#umpire/}; c=umpire_${i%%/*} i=/var/db/factory/umpire/${i#*/};;
    *) return;;
  esac
  [ "$(mounted "$c" "$i")" = "$(readlink -f "$1")" ] || return 0
  case $(state_of "$c") in
    running) ;;
    paused) fail "$c is paused, so $1 cannot be copied" "docker unpause $c";;
    *)
      ! docker cp "$c:$i-journal" - >/dev/null 2>&1 ||
        fail "$c was ended while it wrote $1" "docker start $c lets it repair that"
      return 0;;
  esac
  mkdir -p "$W/copies/${1%/*}"
  docker exec -i "$c" python3 - "$i" < "$W/copy.py" > "$W/copies/$1" 2> "$W/said" ||
    fail "$1 could not be copied by $c: $(tail -n 1 "$W/said")" \
      'a backup needs it whole; stop the container to copy the file as it lies there'
  chown --reference="$1" "$W/copies/$1" && chmod --reference="$1" "$W/copies/$1" &&
    touch -r "$1" "$W/copies/$1" || fail "$W/copies takes no more" 'is the disk full?'
  printf '%s\0' "$1" >> "$W/copied"
  printf '%s\n' "$1" "$1-journal" "$1-wal" "$1-shm" >> "$W/without"
}
line_end='
'
found -type f \( -name '*.db' -o -name '*.sqlite3' \) ! -name "*$line_end*" -printf '%P\n' |
  while IFS= read -r p; do
    [ "$(head -c 15 "$p" | tr -d '\0')" = 'SQLite format 3' ] || continue
    copy "$p" </dev/null
  done || exit 1

say script "$(known "$(version_of_script "$SCRIPT")")" \
  "$(sha256sum < "$SCRIPT" 2>/dev/null | cut -d ' ' -f 1)"
say image "$(known "$(version_of_image "$I")")"
# Links to active configurations come first: a resource that one names is there before it.
{
  find umpire -mindepth 2 -maxdepth 2 -name active_umpire.json -printf 'umpire/%P\0' 2>/dev/null
  found ! -path './umpire/*/active_umpire.json' -printf '%P\0'
} | grep -zvxF -f "$W/without" > "$W/list"
say size "$(found -type f -printf '%s\n' |
  awk '{ n += int(($1 + 511) / 512) * 512 + 1024 } END { printf "%.0f", n }')"

mkfifo "$W/pipe" || fail "$W cannot be written" 'is the disk full?'
sha256sum < "$W/pipe" > "$W/sum" &
(
  trap - PIPE
  {
    tar -c -f - --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner \
      --ignore-failed-read --no-recursion -C "$W/copies" --null -T "$W/copied" \
      -C "$D" --null -T "$W/list" 2> "$W/said"
    echo $? > "$W/status"
  } | tee "$W/pipe"
)
wait
case $(cat "$W/status" 2>/dev/null) in
  0 | 1) ;;
  *) fail "tar could not read all of $D: $(tail -n 1 "$W/said")" 'nothing was kept';;
esac
sed -n 's/^tar: \(.*\): file changed as we read it$/\1/p
  s/^tar: \(.*\): File shrank by .*/\1/p' "$W/said" | while IFS= read -r p; do
  say changed "$p"
done
say sum "$(cut -d ' ' -f 1 "$W/sum")"
"""


def back_up(
    place: Place, out: Path, *, logs: bool = False, tell: Tell = lambda done, size: None
) -> Manifest:
    """Write a backup of a factory server to a new file, mode 0600, and return what it holds.

    Raises UsageError for a file that exists, HostError and CrosprovError for what fails; then
    nothing is left of it.
    """
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists already", hint="a backup never overwrites: name another")
    part = out.with_name(f"{out.name}.part")
    try:
        with _claimed(part) as file:
            said = _receive(place, file, logs, tell)
            known = _verified(place, part, said, logs)
            archive.append(part, known)
            _keep(part, out)
    except OSError as error:
        message = f"{part} cannot be written: {error.strerror or error}"
        raise CrosprovError(message, hint="nothing was kept") from None
    return known


@contextmanager
def _claimed(part: Path) -> Iterator[IO[bytes]]:
    """Give the part, empty, to this run alone; what fails removes it, and nobody else's."""

    def refuse() -> None:
        raise UsageError(
            f"{part} is being written by another backup",
            hint="wait for it to end, or name another file",
        )

    with locked(part, on_wait=refuse) as number, open(number, "wb", closefd=False) as file:
        try:
            os.fchmod(number, 0o600)
            file.truncate(0)
            yield file
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _receive(place: Place, file: IO[bytes], logs: bool, tell: Tell) -> Said:
    left = [rf"{RESTORING}".replace(".", r"\."), ASIDE.replace(".", r"\.") + "[0-9]+", _VOLATILE]
    given = {"LEFT": "|".join(left if logs else [*left, _LOGS]), "COPY": _COPY}
    received = _Received(file.write, tell)
    said = place.run(_SCRIPT, given, on_stdout=received.take, on_said=received.heard)
    file.flush()
    return said


class _Received:
    """Count what comes in beside what is to come."""

    def __init__(self, write: Callable[[bytes], object], tell: Tell) -> None:
        self._write = write
        self._tell = tell
        self._done = self._size = 0

    def take(self, data: bytes) -> None:
        self._write(data)
        self._done += len(data)
        self._tell(self._done, max(self._done, self._size))

    def heard(self, line: bytes) -> None:
        word, _, text = line.partition(b" ")
        if word == b"size":
            self._size = int(text)


def _verified(place: Place, part: Path, said: Said, logs: bool) -> Manifest:
    """Read back what was written, and hold it against what the host has sent."""
    found = archive.read(part)
    if found.sha256 != said.first("sum"):
        raise HostError(
            place.host, "what arrived is not what it sent", hint="nothing was kept; try again"
        )
    projects = _projects(place, found.kept[DATABASE])
    if stale := archive.unsettled(found.entries, projects):
        raise HostError(
            place.host, f"{worded(stale)} was deployed anew in the meantime, or leads nowhere",
            hint="nothing was kept; try again",
        )  # fmt: skip
    script_version, _, script_sha256 = said.first("script").rpartition(" ")
    return Manifest(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        host=place.host,
        shared_dir=place.shared_dir,
        logs=logs,
        image_version=said.first("image").strip(),
        script_version=script_version.strip(),
        script_sha256=script_sha256 if script_version.strip() else "",
        projects=projects,
        changed=said.all("changed"),
        entries=found.entries,
    )


def _projects(place: Place, database: bytes) -> tuple[Project, ...]:
    try:
        return archive.projects(database)
    except ValueError as error:
        raise HostError(
            place.host, f"{place.shared_dir}/{DATABASE} is not a sound database of Dome: {error}",
            hint="nothing was kept; start Dome, which repairs what can be repaired",
        ) from None  # fmt: skip


def _keep(part: Path, out: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists by now", hint="a backup never overwrites: name another")
    part.rename(out)

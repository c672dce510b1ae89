"""A mirror's folder on another host: files appear whole there, under names that nothing had.

What a folder of this machine does by itself, a few POSIX commands of the host do here. A file is
sent piece by piece into a private one, proven there, and published by a hard link, so that
whatever is killed at whatever moment leaves no more than that private file. The next publisher,
and the next sync, remove one that is older than a day.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from crosprov.errors import HostError
from crosprov.mirror.folder import INCOMING, SENT, Full
from crosprov.mirror.layouts import NAME as LAYOUT
from crosprov.mirror.ledger import Proof
from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.record import PREFERRED, RECORD, line_for, proofs_in
from crosprov.mirror.stores import Altered, Exists, Missing, Stored, Unavailable
from crosprov.transport.base import Completed, Transport

PIECE = 8 * 1024 * 1024  # bytes in one command
_DIGEST = PREFERRED  # by which contents are compared, and `sha512sum` is on every host
_SLOW = 3600.0  # seconds in which a host digests a file

AS_ROOT = "log in as root, or set ssh.sudo: true"
_DENIED = re.compile(r"not permitted|[Pp]ermission denied")

_ABSENT, _TAKEN, _ALTERED, _SHORT = 41, 42, 43, 44  # exit statuses of the commands below

# Each stands behind `d=FOLDER n=NAME p=PART i=INCOMING`, and they end at the first failure; none
# minds that another publisher does the same at the same time.
_BEGIN = """\
[ -d "$d" ] || exit {absent}
[ -d "$i" ] || mkdir -m 700 "$i" 2>/dev/null || [ -d "$i" ]
chown --reference="$d" "$i"
find "$i" -maxdepth 1 -type f -name '{sent}*' -mmin +1440 -delete 2>/dev/null || :
umask 077; set -C; : >"$i/$p"
"""
_APPEND = '[ "$(stat -c %s "$i/$p")" = {offset} ] || exit {short}; cat >>"$i/$p"\n'
_RECORD = """\
r="$d"/{record}; l={line}
[ ! -h "$r" ] || {{ echo "$r is a link" >&2; exit 1; }}
(umask 077; : >>"$r"); chown --reference="$d" "$r"
exec 9>>"$r"; flock 9
note() {{ printf '\\n%s %s\\n' "$(date +%s)" "$l" >&9 && sync "$r"; }}
"""
_PROVE = """\
trap 'rm -f "$i/$p"' EXIT
[ "$(sha512sum <"$i/$p")" = "{digest}  -" ] || exit {altered}
chmod 444 "$i/$p"; chown --reference="$d" "$i/$p"; sync "$i/$p"
"""
_LINK = """\
if ln -T "$i/$p" "$d/$n" 2>/dev/null; then sync "$d"
elif [ -e "$d/$n" ] || [ -h "$d/$n" ]; then cmp -s "$i/$p" "$d/$n" || exit {taken}
else ln -T "$i/$p" "$d/$n"; fi
"""
_PUBLISH = f'{_PROVE}{_RECORD}[ -e "$d/$n" ] || [ -h "$d/$n" ] || note\n{_LINK}'
_REMEMBER = f'{_RECORD}[ ! -e "$d/$n" ] || note\n'
_PUBLISHED = '[ ! -e "$d"/{record} ] || cat "$d"/{record}'
_DISCARD = 'rm -f "$i/$p"'
_FIND = """\
[ -e "$d/$n" ] || exit {absent}
[ -f "$d/$n" ] || exit {taken}
find -L "$d/$n" -maxdepth 0 -printf '%s %i-%T@-%C@\\n'; sha512sum <"$d/$n"
"""
_LIST = (
    '[ -d "$d" ] || exit {absent}; '
    "find -L \"$d\" -maxdepth 1 -type f ! -name '.*' -printf '%s %i-%T@-%C@ %f\\0'"
)
_READ = (
    '[ -f "$d/$n" ] || exit {absent}; '
    'dd if="$d/$n" bs={size} skip={offset} count={count} iflag=skip_bytes,count_bytes status=none'
)

_OFFERED = "find \"$d/\" -maxdepth 1 -type f ! -name '.*'"


class HostFolder:
    """A folder of a host that is reached by a transport, as `crosprov.mirror.stores` has it."""

    def __init__(self, host: str, folder: str, transport: Transport) -> None:
        self.place = f"{host}:{folder}"
        self._folder = folder
        self._transport = transport

    def list(self) -> Mapping[str, Stored]:
        """List the regular files, and links to such; folders and dot-files are not seen."""
        done = self._run(_LIST.format(absent=_ABSENT), allowed=(_ABSENT,))
        found = {}
        for line in done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            size, mark, name = line.split(" ", 2)
            if name != LAYOUT:
                found[name] = Stored(name, int(size), mark)
        return found

    def find(self, name: str) -> Stored | None:
        """Describe a regular file, with the digest that the host makes of it."""
        script = _FIND.format(absent=_ABSENT, taken=_TAKEN)
        done = self._run(script, name, allowed=(_ABSENT, _TAKEN))
        if done.status:
            return None
        size, mark, digest, _ = done.stdout.decode().split()
        return Stored(name, int(size), mark, {_DIGEST: digest})

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a file's bytes from an offset on."""
        while True:
            script = _READ.format(absent=_ABSENT, size=65536, offset=offset, count=PIECE)
            done = self._run(script, name, allowed=(_ABSENT,))
            if done.status:
                raise Missing(self.place, name)
            if done.stdout:
                yield done.stdout
            if len(done.stdout) < PIECE:
                return
            offset += len(done.stdout)

    def create(self, name: str, content: Path, archive: Archive) -> Stored:
        """Send a file and publish it, only if nothing has its name; raises Exists and Altered."""
        problem = problem_of_name(name)
        if problem:
            raise Fault(f"{name!r} cannot be the name of a file: {problem}", where=self.place)
        part = f"{SENT}{secrets.token_hex(8)}"
        digest = archive.hashes[_DIGEST]
        begin = _BEGIN.format(absent=_ABSENT, sent=SENT)
        if self._run(begin, name, part, allowed=(_ABSENT,)).status:
            raise Fault("there is no such folder on the host", hint="crosprov apply makes it",
                        where=self.place)  # fmt: skip
        publish = _PUBLISH.format(
            digest=digest, altered=_ALTERED, taken=_TAKEN, **_recorded(archive, name)
        )
        try:
            self._send(content, name, part)
            done = self._run(publish, name, part, allowed=(_ALTERED, _TAKEN))
        except Unavailable:  # nor would the host hear that the part is to go
            raise
        except Fault:
            with suppress(Fault):
                self._run(_DISCARD, name, part)
            raise
        if done.status == _ALTERED:
            raise Altered("the content is not what it was, or changed on its way", where=name)
        stored = self.find(name)
        if done.status == _TAKEN or stored is None:
            raise Exists(self.place, name, stored)
        return stored

    def published(self) -> Mapping[str, Proof]:
        """Give what was written down on the host of the files that people published."""
        return proofs_in(self._run(_PUBLISHED.format(record=RECORD)).stdout)

    def remember(self, archive: Archive) -> None:
        """Write down a file that is there and was proven, unless that is known already."""
        proof = self.published().get(archive.name)
        if proof is None or proof.by_algorithm() != {_DIGEST: archive.hashes[_DIGEST]}:
            self._run(_REMEMBER.format(**_recorded(archive, archive.name)), archive.name)

    def may_create(self) -> bool:
        """Tell whether files can be made there: whoever is root on the host may."""
        return True

    def writable(self) -> Sequence[str]:
        """Name the files that somebody may write to."""
        done = self._run(f"{_OFFERED} -perm /222 -printf '%f\\0'")
        return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]

    def mode(self) -> int:
        """Give the mode of the folder itself."""
        return int(self._run('stat -L -c %a "$d"').stdout, 8)

    def strengthen(self) -> None:
        """Take the right to write from files, and from others than the folder's owner."""
        self._run(f'{_OFFERED} -perm /222 -exec chmod a-w {{}} +; [ -k "$d" ] || chmod go-w "$d"')

    def _send(self, content: Path, name: str, part: str) -> None:
        offset = 0
        try:
            with open(content, "rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    append = _APPEND.format(offset=offset, short=_SHORT)
                    self._run(append, name, part, stdin=piece)
                    offset += len(piece)
        except OSError as error:
            raise Fault(f"the file cannot be read: {error.strerror}", where=str(content)) from None

    def _run(
        self,
        script: str,
        name: str = "",
        part: str = "",
        *,
        stdin: bytes = b"",
        allowed: tuple[int, ...] = (),
    ) -> Completed:
        """Run commands on the host; raises Fault for an exit status that is not allowed."""
        words = f"set -e; d={shlex.quote(self._folder)} n={shlex.quote(name)} p={shlex.quote(part)}"
        where = f'i="$d"/{INCOMING}'
        try:
            done = self._transport.run(f"{words}\n{where}\n{script}", stdin=stdin, timeout=_SLOW)
        except HostError as error:
            raise Unavailable(str(error), hint=error.hint, where=self.place) from None
        if done.status and done.status not in allowed:
            raise self._failure(done, name)
        return done

    def _failure(self, done: Completed, name: str) -> Fault:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"a command ended with status {done.status}"
        if done.status == _SHORT or re.search(r"No such file", said):
            return Unavailable(f"{name} was taken away while it was sent", where=self.place)
        if "No space left" in said or "quota" in said:
            return Full(f"there is no space left for {name}", hint="make room, and run it again",
                        where=self.place)  # fmt: skip
        hint = AS_ROOT if _DENIED.search(said) else None
        return Fault(f"{name or 'the folder'}: {said}", hint=hint, where=self.place)


def _recorded(archive: Archive, name: str) -> dict[str, str]:
    """Give what the commands that write the record have in the places of words."""
    return {"record": RECORD, "line": shlex.quote(line_for(replace(archive, name=name), _DIGEST))}

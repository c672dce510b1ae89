"""Ask a dev server from a DUT, with whatever the DUT has: curl, wget or busybox."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase

from crosprov.facts.files import Kind, PathState, path_question, path_state

# `fetch URL FILE SECONDS` writes the body of an answer of 200, and fails for everything else;
# `version URL` prints in a line what tells one version of a file from another, nothing when it is
# not served. No proxy: a dev server is in the lab.
FETCH_FUNCTIONS = r"""fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -gkfsS -m "$3" --noproxy '*' -o "$2" -- "$1"
  elif wget --version 2>/dev/null | grep -q GNU; then
    timeout "$3" wget -nv -O "$2" -t 1 -T 20 --no-proxy --no-check-certificate -- "$1"
  else
    timeout "$3" busybox wget -q -Y off -O "$2" "$1"
  fi
}
version() {
  if command -v curl >/dev/null 2>&1; then
    h=$(curl -gkfsSI -m 10 --noproxy '*' -- "$1")
  else
    h=$(wget -S --spider -O /dev/null -T 10 -t 1 --no-proxy --no-check-certificate -- "$1" 2>&1)
  fi 2>/dev/null || return 0
  printf '%s\n' "$h" | tr 'A-Z' 'a-z' | tr -d '\r' | sed -n -e 's/^ *etag: */etag=/p' \
    -e 's/^ *last-modified: */date=/p' -e 's/^ *content-length: */size=/p' | sort -u | tr '\n' ' '
}
"""


class ServedFact(FactBase[str]):
    """Give the last line of what a dev server answers to a question, "" without an answer."""

    title = "answer of"

    def command(self, url: str) -> str:
        return (
            f"{FETCH_FUNCTIONS}fetch {shlex.quote(url)} - 10 2>/dev/null "
            "| tail -n 1 | head -c 200 || :"
        )

    @staticmethod
    def default() -> str:
        return ""

    def process(self, output: list[str]) -> str:
        return output[-1].strip()


@dataclass(frozen=True, slots=True)
class FetchedState:
    """A file that comes from a dev server, here and there."""

    path: PathState
    served: str = ""  # what tells its version: entity tag, date, size; "" when it is not served
    fetched: str = ""  # the same as it was when crosprov fetched the file
    digest: str = ""  # sha256 of the file as crosprov fetched it


class FetchedFact(FactBase[FetchedState]):
    """Observe a path, and what its dev server says of the file; `record` is where crosprov notes
    what it fetched. With `sha256` given the server is not asked."""

    title = "fetched file"

    def command(self, path: str, url: str, record: str, sha256: str = "") -> str:
        asked = f"printf 'served %s\\n' \"$(version {shlex.quote(url)})\"; "
        name = shlex.quote(record)
        return (
            f"{'' if sha256 else FETCH_FUNCTIONS + asked}"
            f"[ ! -f {name} ] || sed -n -e '1s/^/fetched /p' -e '2s/^/digest /p' {name}; "
            f"echo path; {path_question(shlex.quote(path), sha256, 1)}"
        )

    @staticmethod
    def default() -> FetchedState:
        return FetchedState(PathState(Kind.ABSENT))

    def process(self, output: list[str]) -> FetchedState:
        end = output.index("path")
        said = dict(line.split(" ", 1) for line in output[:end] if " " in line)
        return FetchedState(
            path_state(output[end + 1 :]),
            served=said.get("served", "").strip(),
            fetched=said.get("fetched", "").strip(),
            digest=said.get("digest", "").strip(),
        )

"""Talk to Dome and to Umpires within a change, as functions of the shell of their host.

Curl asks on the host's loopback, where Dome wants no login (py/dome/backend/permissions.py). JSON
is read by the Python in Dome's own container: a host needs none of its own.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from crosprov.facts.umpire import CALL_FUNCTION, SEEN_FUNCTION

DOME_WITHIN = 60  # seconds for Dome to answer; the change that starts it waits for itself
REQUEST_WITHIN = 180  # seconds for one request: Dome stops and starts containers within some
UMPIRE_WITHIN = 120  # seconds for an Umpire to be ready
PROJECT_TIME = 900.0  # seconds for all that is done about a project


@dataclass(frozen=True, slots=True)
class Dome:
    """The Dome of a host: its port, its image and the folder of all data."""

    port: int
    image: str
    shared_dir: str

    def data(self, project: str) -> str:
        """Name the folder of a project's data."""
        return f"{self.shared_dir}/umpire/{project}"


_FUNCTIONS = r"""
nl='
'
fail() { echo "$*" >&2; exit 1; }
now() { read -r up _ < /proc/uptime; echo "${up%.*}"; }
python() { docker exec -i dome_uwsgi python3 -I -c "$@" 2>/dev/null; }
ask() {
  curl -q -s --noproxy '*' -m "${most:-REQUEST}" -w "$nl%{http_code}" "$@"
}
dome() { # METHOD PATH [BODY]: the status of the answer becomes $code, the rest $body
  asked="$1 $2"
  if [ $# -eq 2 ]; then answer=$(ask -X "$1" "http://127.0.0.1:$port$2"); else
    answer=$(printf %s "$3" |
      ask -X "$1" -H 'Content-Type: application/json' --data-binary @- "http://127.0.0.1:$port$2")
  fi
  code=${answer##*"$nl"} body=${answer%"$nl"*}
}
words() { # what Dome says is wrong, in one line: JSON, or the page of a Django that debugs
  printf %s "$body" | tr '\r\n' '  ' | sed '
    s/.*<pre class="exception_value">\([^<]*\)<.*/\1/; t page
    s/.*<title>\([^<]*\)<.*/\1/; t page
    s/":/": /g; s/\\n/ /g; s/\\"/"/g; s/[][{}"]//g; s/^ *detail: *//
    s/.*umpire port already has been used\. *//; s/^You should .* another port\. *//
    b end
    :page
    s/&#x27;/'"'"'/g; s/&quot;/"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g
    :end
    s/  */ /g; s/^ //; s/ $//; s/^\(.\{300\}\).*/\1…/'
}
answered() {
  if [ "$code" = 000 ]; then echo "Dome gave no answer to $asked"; else
    echo "Dome answered $code to $asked: $(words)"
  fi
}
await_dome() { # until it lists its projects
  end=$(($(now) + WAITED)) most=10
  until dome GET /projects/; [ "$code" = 200 ]; do
    [ "$(now)" -lt "$end" ] || fail "$(answered) (asked for WAITED s on port $port)"
    sleep 1
  done
  most=
}
row() { # what the list in $body says of $project: becomes $enabled ('' when unknown to it), $at
  found=$(printf %s "$body" | python '
import json, sys
for one in json.load(sys.stdin):
    if one["name"] == sys.argv[1]:
        print("yes" if one["umpireEnabled"] else "no", one["umpirePort"] or 0)
' "$project") || fail "the list of projects in Dome could not be read"
  enabled=${found% *} at=${found#* }
}
deploying() { case $(call "$base" IsDeploying) in *'<boolean>0</boolean>'*'|200') return 1;; esac; }
await_umpire() { # until it answers and deploys nothing
  end=$(($(now) + READY))
  while deploying; do
    [ "$(now)" -lt "$end" ] || return 1
    sleep 1
  done
}
active() { # the active configuration of the Umpire, as its answer in XML
  config=$(call "$base" GetActiveConfig 20)
  case $config in *'<fault>'*) return 1;; *'|200') config=${config%|*};; *) return 1;; esac
}
"""


def functions(dome: Dome, project: str = "", base: int = 0) -> str:
    """Define the functions, and the names that they go by: $port, $project, $base.

    `dome METHOD PATH [BODY]`, `answered` (what it said, for people), `await_dome`, `row`,
    `await_umpire`, `active`, `python PROGRAM ARGUMENTS`, `seen CONTAINER`, `fail WORDS`.
    """
    text = _FUNCTIONS.replace("REQUEST", str(REQUEST_WITHIN)).replace("WAITED", str(DOME_WITHIN))
    return (
        f"port={dome.port} project={shlex.quote(project)} base={base}\n"
        f"{SEEN_FUNCTION}{CALL_FUNCTION}{text.replace('READY', str(UMPIRE_WITHIN))}"
    )


def body(value: object) -> str:
    """Word a value as JSON, quoted for the shell."""
    return shlex.quote(json.dumps(value, ensure_ascii=True, sort_keys=True))

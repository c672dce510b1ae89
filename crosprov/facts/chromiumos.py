"""Ask for a ChromiumOS checkout and what its devserver would meet on the host, in one question."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pyinfra.api import FactBase

from crosprov.chromiumos.usage import Usage, parse_usage

HELP_LIMIT = 20  # seconds that `--help` may take
ENOUGH = 20  # GB, the least free space with which a lab calls a dev server healthy
LEAST = 1  # GB, with less of it nothing can be staged


class Space(StrEnum):
    """How much is free where static_dir is; a number would be another one at each question."""

    ENOUGH = "enough"
    LITTLE = "little"  # less than ENOUGH
    NONE = "none"  # less than LEAST


@dataclass(frozen=True, slots=True)
class Listener:
    """A program that listens on the port; `unit` is the unit of systemd that it belongs to."""

    program: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.program} ({self.unit})" if self.unit else self.program


@dataclass(frozen=True, slots=True)
class CheckoutState:
    """What was observed of a checkout, and of the place where its devserver shall run."""

    checkout: bool = False
    devserver: bool = False  # src/platform/dev/devserver.py
    readable: bool = False  # by the service's account, or by nobody where that is not there yet
    chromite: bool = False
    wants_chromite: bool = False
    owner: str = "root:root"  # of the checkout
    boards: tuple[str, ...] = ()  # whose packages are built
    inside_chroot: bool = False
    build: bool = False  # src/build
    images: bool = False  # src/build/images
    wants_images: bool = False
    sudo: bool = False
    wants_sudo: bool = False
    shebang: str = ""  # the interpreter that devserver.py names
    python: str = ""  # its path, or that of the one asked for; "" when the host has none
    status: int | None = None  # of `--help`; None when it was not asked
    help: str = ""  # what `--help` printed, on both outputs
    gsutil: str = ""  # the version that chromite downloads; "" when it does not
    seed: str = ""  # digest of the archive of which the cache was filled; "other" if not by us
    listeners: tuple[Listener, ...] = ()
    space: Space = Space.ENOUGH
    missing: frozenset[str] = field(default_factory=frozenset)  # of the paths asked for

    @property
    def usage(self) -> Usage:
        """The options that this version knows; none when `--help` failed."""
        return parse_usage(self.help) if self.status == 0 else Usage()

    @property
    def fault(self) -> str:
        """The last line that a failed `--help` printed."""
        return next((line.strip() for line in reversed(self.help.splitlines()) if line.strip()), "")


# The program is started as the account that it will run as, with nothing in its environment that
# leads to a place where it could write. What it would write itself (compiled modules, chromite's
# cache) is turned off, and no file can grow beyond zero bytes.
_QUESTION = r"""c={checkout}; d=$c/src/platform/dev; f=$d/devserver.py
has() {{ if [ -e "$2" ]; then echo "$1"; fi; }}
has checkout "$c/."
has devserver "$f"
has chromite "$c/chromite/__init__.py"
has wants_chromite "$d/setup_chromite.py"
has build "$c/src/build/."
has images "$c/src/build/images/."
has wants_images "$d/xbuddy.py"
has inside_chroot /etc/debian_chroot
[ ! -d "$c" ] || stat -c 'owner %U:%G' "$c"
for b in /build/* "$c"/chroot/build/* "$c"/out/build/*; do
  if [ -d "$b/var/db/pkg" ] || [ -d "$b/packages" ]; then echo "board ${{b##*/}}"; fi
done
! command -v sudo >/dev/null 2>&1 || echo sudo
! grep -q "'sudo', 'chown'" "$d/common_util.py" "$c/chromite/lib/xbuddy/common_util.py" \
  2>/dev/null || echo wants_sudo
for p in {paths}; do [ -e "$p" ] || echo "missing $p"; done
v=$(sed -n "s/^ *GSUTIL_VERSION = ['\"]\([0-9.]*\)['\"].*/\1/p" "$c/chromite/lib/gs.py" 2>/dev/null)
if [ -n "$v" ]; then
  echo "gsutil $v"
  g={cache}/common/gsutil_$v.tar.gz
  if [ -x "$g/gsutil/gsutil" ]; then
    if [ -f "$g/.crosprov" ]; then echo "seed $(head -n 1 "$g/.crosprov")"; else echo seed other; fi
  fi
fi
i=$(awk -v p={port} '$4 == "0A" && substr($2, length($2) - 4) == p {{ print $10 }}' \
  /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u)
for i in $i; do
  l=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$i\]" 2>/dev/null | head -n 1)
  l=${{l#/proc/}}; l=${{l%%/*}}
  u=$(sed -n 's,.*/\([^/]*\.\(service\|scope\|socket\)\)\(/.*\)*$,\1,p' "/proc/$l/cgroup" \
    2>/dev/null | head -n 1)
  echo "listener ${{u:--}} $(cat "/proc/$l/comm" 2>/dev/null || echo another program)"
done | sort -u
s={static_dir}
while [ ! -d "$s" ]; do s=${{s%/*}}; s=${{s:-/}}; done
df -Pk "$s" | awk 'NR == 2 {{ print "space", $4 < {least} ? "none" : $4 < {enough} ? "little" : \
  "enough" }}'
[ -f "$f" ] || exit 0
py={python}
IFS= read -r l < "$f" || l=
case $l in '#!'*) set -- ${{l#??}}; [ "${{1##*/}}" != env ] || shift; echo "shebang $1";; esac
[ -n "$py" ] || py=$(command -v "${{1:-python3}}")
{{ [ -n "$py" ] && [ -x "$py" ]; }} || exit 0
echo "python $py"
as() {{ "$@"; }}
if [ "$(id -u)" = 0 ]; then
  if id {account} >/dev/null 2>&1; then
    as() {{ setpriv --reuid={account} --regid="$(id -g {account})" --init-groups --no-new-privs \
      "$@"; }}
  else
    as() {{ setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"; }}
  fi
fi
cd / && as test -r "$f" || exit 0
echo readable
h=$(ulimit -f 0; as env -i PATH="$PATH" LC_ALL=C HOME=/nonexistent TMPDIR=/nonexistent \
  PYTHONDONTWRITEBYTECODE=1 CROS_CACHEDIR={cache} \
  timeout -k 2 {limit} "$py" "$f" --help 2>&1 </dev/null)
echo "status $?"
printf '%s\n' "$h" | head -c 65536 | sed 's/^/help /'"""


class CheckoutFact(FactBase[CheckoutState]):
    """Observe a checkout, whose devserver is asked for its options as the account of the service.

    `paths` are files that shall be there, `python` is "" for the one that devserver.py names.
    """

    title = "checkout"

    def command(
        self,
        checkout: str,
        python: str,
        account: str,
        cache: str,
        port: int,
        static_dir: str,
        paths: Sequence[str] = (),
    ) -> str:
        return _QUESTION.format(
            checkout=shlex.quote(checkout),
            python=shlex.quote(python),
            account=shlex.quote(account),
            cache=shlex.quote(cache),
            port=f":{port:04X}",
            static_dir=shlex.quote(static_dir),
            paths=" ".join(map(shlex.quote, paths)) or "''",
            limit=HELP_LIMIT,
            least=LEAST * 10**9 // 1024,
            enough=ENOUGH * 10**9 // 1024,
        )

    @staticmethod
    def default() -> CheckoutState:
        return CheckoutState()

    def process(self, output: list[str]) -> CheckoutState:
        said: dict[str, list[str]] = {}
        for line in output:
            key, _, value = line.partition(" ")
            said.setdefault(key, []).append(value)
        return _state(said)


def _state(said: Mapping[str, list[str]]) -> CheckoutState:
    def last(key: str, default: str = "") -> str:
        return said.get(key, [default])[-1]

    return CheckoutState(
        checkout="checkout" in said,
        devserver="devserver" in said,
        readable="readable" in said,
        chromite="chromite" in said,
        wants_chromite="wants_chromite" in said,
        owner=last("owner", "root:root"),
        boards=tuple(sorted(set(said.get("board", ())))),
        inside_chroot="inside_chroot" in said,
        build="build" in said,
        images="images" in said,
        wants_images="wants_images" in said,
        sudo="sudo" in said,
        wants_sudo="wants_sudo" in said,
        shebang=last("shebang"),
        python=last("python"),
        status=int(last("status")) if "status" in said else None,
        help="\n".join(said.get("help", ())),
        gsutil=last("gsutil"),
        seed=last("seed"),
        listeners=tuple(_listener(text) for text in said.get("listener", ())),
        space=Space(last("space", "enough")),
        missing=frozenset(filter(None, said.get("missing", ()))),
    )


def _listener(text: str) -> Listener:
    unit, _, program = text.partition(" ")
    return Listener(program, "" if unit == "-" else unit)

"""Packages of Debian and its relatives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.packages import PackagesFact, PackagesState
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

# As Debian allows them, except one that ends in "-": to apt-get that means to remove.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9-]+)?")
_LATER = "(known after apply)"

# `patiently` takes output by a file, not a pipe: a daemon that a package starts may keep a pipe
# open for ever. apt-get waits for dpkg's lock by itself, for the one of the lists it does not.
_FUNCTIONS = """\
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1
log={log}
mkdir -p {folder} && ( umask 077; : > "$log" ) || exit
patiently() {{
  n=0
  until "$@" > "$log" 2>&1; do
    code=$?; n=$((n + 1))
    if [ $n -le 60 ] && grep -qi 'could not get lock\\|frontend lock\\|locked by another' "$log"
    then sleep 5; continue; fi
    cat "$log" >&2; return $code
  done
}}
apt() {{
  patiently apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \\
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}}"""
REPAIR = """\
patiently dpkg --configure -a --force-confdef --force-confold || exit"""
_INSTALL = """\
install() {{ apt install --no-install-recommends --no-remove -- {names}; }}
lists=/var/lib/apt/lists/; eval "$(apt-config shell lists Dir::State::lists/d)"
set -- "$lists"*_Packages*
updated=no
if [ ! -e "$1" ]; then apt update || exit; updated=yes; fi
if ! install; then
  # The lists may be older than what the archive still holds.
  [ $updated = no ] && grep -q '{outdated}' "$log" || exit 100
  apt update && install || exit
fi"""
_OUTDATED = "Unable to locate\\|no installation candidate\\|Failed to fetch\\|Unable to fetch"


@operation
def packages(names: Sequence[str]) -> Commands:
    """Install packages, with their dependencies and without what those only recommend.

    Changed configuration files of the host stay as they are. Lists are fetched only where there
    are none or they turn out to be too old. An interrupted dpkg is repaired first. A run fails
    rather than remove another package. Raises PlanError for a host without dpkg and for what
    is not a package's name.
    """
    wanted = tuple(dict.fromkeys(_checked(name) for name in names))
    if not wanted:
        return
    seen = host.get_fact(PackagesFact, names=wanted)
    if not seen.has_dpkg:
        raise PlanError(
            "it installs packages with apt, and the host has no dpkg",
            hint="packages can be had on Debian, Ubuntu and their relatives only",
        )
    known = effects()
    missing = [n for n in wanted if not seen.of(n).present and n not in known.packages]
    repair = seen.interrupted and not known.packages
    if not missing and not repair:
        return
    known.packages.update(missing)
    yield Noted(_script(missing, seen), _note(missing, seen))


def apt_functions(folder: str) -> str:
    """Define the shell functions `apt` and `patiently`, whose output is in the file `$log`."""
    return _FUNCTIONS.format(folder=shlex.quote(folder), log=shlex.quote(f"{folder}/apt.log"))


def _script(missing: Sequence[str], seen: PackagesState) -> str:
    parts = [apt_functions(state_dir())]
    if seen.interrupted or any(seen.of(name).broken for name in missing):
        parts.append(REPAIR)
    if missing:
        quoted = " ".join(shlex.quote(name) for name in missing)
        parts.append(_INSTALL.format(names=quoted, outdated=_OUTDATED))
    return "\n".join([*parts, 'rm -f "$log"'])


def _note(missing: Sequence[str], seen: PackagesState) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = dict.fromkeys(missing, _LATER)
    for name in missing:
        if seen.of(name).broken:
            before[name] = seen.of(name).status
    if seen.interrupted:
        before["dpkg"], after["dpkg"] = "interrupted", "repaired"
    return Note(
        kind="packages",
        name=", ".join(missing) or "dpkg",
        action=Action.UPDATE if before else Action.CREATE,
        before=before,
        after=after,
        unknown=("versions and dependencies",) if missing else (),
    )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"{name!r} is not the name of a package",
            hint="give the bare name, with neither version nor release",
        )
    return name

"""Python environments on a host, made of wheels that the controller sends."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.environments import LISTING, PYTHON, EnvironmentFact, EnvironmentState
from crosprov.operations.effects import effects
from crosprov.operations.files import remember_restarts
from crosprov.operations.note import Commands, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action
from crosprov.wheelhouse import Archive
from crosprov.wheels import DEVSERVER, MACHINES, MIRROR, PYTHONS, Program

_MADE_HERE = re.compile(r"[0-9a-f]{16}(\.tar)?")
_WITHIN = 900.0  # seconds
_OLD = {
    DEVSERVER: "use a host with a newer distribution, or implementation: chromiumos",
    MIRROR: "use a host with a newer distribution",
}

# The mark comes last: what lacks it is made anew. pip needs not be on the host, it runs from its
# own wheel; Debian's Python comes without it. What the service imports is compiled once, here,
# because the service cannot write.
_MAKE = """\
set -e
umask 022
cd {folder}
mkdir wheels
tar -xf {tar} -C wheels
rm -f {tar}
python3 -Im venv --without-pip .
cd wheels
set -- pip-*.whl
../bin/python -I "$1/pip" --disable-pip-version-check install --quiet --no-input \
  --no-cache-dir --no-index --no-deps --no-compile --only-binary :all: --require-hashes \
  --root-user-action ignore --find-links . --requirement requirements.txt
cd ..
rm -rf wheels
bin/python -Im {module} --help >/dev/null
{{ {python} && {listing}; }} > complete.part
sync complete.part 2>/dev/null || :
mv complete.part complete"""


@operation
def environment(
    folder: str,
    /,
    *,
    program: Program,
    archive: Callable[[], Archive],
    restarts: Sequence[str] = (),
) -> Commands:
    """Make a Python environment of an archive of wheels, complete or not at all.

    `archive` is called only when it has to be sent; the program is started once with --help,
    which proves that it can be. Raises PlanError when the host's Python or machine is none that the
    wheels are for.
    """
    seen = host.get_fact(EnvironmentFact, folder=folder)
    if seen.complete:
        return
    _check(seen, program)
    sent = archive()
    effects().restarts.update(dict.fromkeys(restarts, folder))
    tar = f"{folder}.tar"
    there = folder.rpartition("/")[2] in seen.neighbours
    note = Note(
        kind="environment",
        name=folder,
        action=Action.UPDATE if there else Action.CREATE,
        before={"state": "incomplete"} if there else {},
        after={"wheels": f"{Path(sent.path).name} ({sent.size} bytes, sha256 {sent.sha256[:12]})"},
        restarts=tuple(restarts),
        undo=f"rm -rf {shlex.quote(folder)} {shlex.quote(tar)}",
        within=_WITHIN,
    )
    place, content = shlex.quote(folder), shlex.quote(tar)
    yield Noted(
        remember_restarts(restarts, "environment")
        + f"rm -rf {place} {content} && mkdir -p {place} && ( umask 077; : > {content} )",
        note,
    )
    yield LocalFile(sent.path, sent.size, sent.sha256, tar)
    yield StringCommand(
        _MAKE.format(
            folder=place, tar=content, module=program.module, python=PYTHON, listing=LISTING
        )
    )


@operation
def only_environment(folder: str, /) -> Commands:
    """Remove the other environments beside one, when nothing runs in them any more."""
    seen = host.get_fact(EnvironmentFact, folder=folder)
    parent, _, name = folder.rpartition("/")
    old = [other for other in seen.neighbours if other != name and _MADE_HERE.fullmatch(other)]
    if not old:
        return
    paths = " ".join(shlex.quote(f"{parent}/{other}") for other in old)
    before: dict[str, str | None] = dict.fromkeys(old, "replaced")
    yield Noted(f"rm -rf {paths}", Note("environments", parent, Action.DELETE, before=before))


def _check(seen: EnvironmentState, program: Program) -> None:
    """Refuse what no wheel is for; a Python that this plan installs is not known yet."""
    if seen.machine not in MACHINES:
        raise PlanError(
            f"{program.what} cannot be installed on a machine of kind {seen.machine}",
            hint=f"there are wheels for {' and '.join(MACHINES)}",
        )
    if seen.version and seen.version not in PYTHONS and not effects().provides("python3"):
        raise PlanError(
            f"the host has Python {seen.version}, and {program.what} runs on {', '.join(PYTHONS)}",
            hint=_OLD[program],
        )

"""Packages from files of the controller: nothing is fetched from a network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.debian_package import DebianPackage, read_package
from crosprov.errors import PlanError
from crosprov.facts.packages import PackagesFact, PackagesState
from crosprov.localfiles import measured
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.packages import REPAIR, apt_functions
from crosprov.planning.plan import Action

# apt sees before it begins whether something is missing; dpkg would stop halfway. What only the
# network has is missing too.
_INSTALL = """\
{functions}
{repair}
apt install --no-install-recommends --no-remove --no-download --allow-downgrades -- {files}
code=$?
if [ $code -ne 0 ] && grep -q 'Unable to fetch\\|unmet dep\\|not installable' "$log"; then
  echo 'crosprov: package_files lacks what these packages depend on: see the lines above' >&2
fi
rm -rf {folder} "$log"; exit $code"""


@operation
def package_files(paths: Sequence[str]) -> Commands:
    """Install packages from files of the controller, in the very versions that those are.

    Another version on the host is replaced, a newer one too. All that they depend on must be among
    them or on the host already. Raises PlanError for a host without dpkg, for what is not a
    whole package file, for two files of one package, and for another architecture.
    """
    given = [read_package(path) for path in paths]
    if not given:
        return
    _refuse_twins(given)
    seen = host.get_fact(PackagesFact, names=tuple(package.name for package in given))
    if not seen.has_dpkg:
        raise PlanError("it installs package files, and the host has no dpkg")
    _refuse_foreign(given, seen)
    wanted = [package for package in given if not _there(package, seen)]
    if not wanted:
        return
    effects().packages.update(package.name for package in wanted)
    yield from _install(wanted, seen)


def _there(package: DebianPackage, seen: PackagesState) -> bool:
    state = seen.of(package.name)
    return state.present and state.version == package.version


def _install(wanted: Sequence[DebianPackage], seen: PackagesState) -> Commands:
    folder = f"{state_dir()}/packages"
    places = [f"{folder}/{package.name}.deb" for package in wanted]
    quoted = " ".join(map(shlex.quote, places))
    name = shlex.quote(folder)
    yield Noted(
        f'rm -rf {name} && mkdir -p {name} && ( umask 077; for f in {quoted}; do : > "$f"; done )',
        _note(wanted, seen, name),
    )
    for package, place in zip(wanted, places, strict=True):
        size, sha256 = measured(package.path)
        yield LocalFile(package.path, size, sha256, place)
    broken = seen.interrupted or any(seen.of(package.name).broken for package in wanted)
    yield StringCommand(
        _INSTALL.format(
            functions=apt_functions(state_dir()), repair=REPAIR if broken else ":",
            files=quoted, folder=name,
        )
    )  # fmt: skip


def _note(wanted: Sequence[DebianPackage], seen: PackagesState, folder: str) -> Note:
    states = {package.name: seen.of(package.name) for package in wanted}
    before: dict[str, str | None] = {
        name: state.version if state.present else state.status
        for name, state in states.items()
        if state.present or state.broken
    }
    return Note(
        kind="packages",
        name=", ".join(package.name for package in wanted),
        action=Action.UPDATE if before else Action.CREATE,
        before=before,
        after={package.name: package.version for package in wanted},
        undo=f"rm -rf {folder}",
    )


def _refuse_twins(given: Sequence[DebianPackage]) -> None:
    known: dict[str, DebianPackage] = {}
    for package in given:
        other = known.setdefault(package.name, package)
        if other is not package:
            raise PlanError(
                f"{other.path} and {package.path} are both of {package.name}",
                hint="keep the one that shall be installed",
            )


def _refuse_foreign(given: Sequence[DebianPackage], seen: PackagesState) -> None:
    for package in given:
        if seen.architecture and package.architecture not in (seen.architecture, "all"):
            raise PlanError(
                f"{package.path} is for {package.architecture}, and the host is {seen.architecture}"
            )

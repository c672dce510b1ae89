"""What the ebuilds of one package fetch, with or without a Manifest that vouches for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.looking import is_file, is_folder
from crosprov.mirror.metadata import Cache, Metadata, Stale
from crosprov.mirror.model import Fault, Tree, Uri
from crosprov.mirror.sourcing import Wanted, source_ebuilds
from crosprov.mirror.trees import (
    Layout,
    Lineage,
    Package,
    lineage_of,
    packages_of,
    third_party_mirrors,
)
from crosprov.mirror.uris import (
    BadUris,
    expanded,
    problem_of_source,
    restrictions_of,
    sources_of,
)


@dataclass(frozen=True, slots=True)
class Fetchables:
    """Hold what the chosen ebuilds of a package fetch, by name, with where it comes from.

    `whole` says that all ebuilds of the package were chosen.
    """

    folder: Path
    package: Package
    layout: Layout
    uris: Mapping[str, tuple[Uri, ...]]
    whole: bool


def fetchables_of(path: Path, masters: Sequence[Path] = ()) -> Fetchables:
    """Find what a package fetches; `path` is its folder, or one of its ebuilds for that alone.

    Ebuilds that the tree's cache does not know are sourced, which runs their code. Raises
    Fault when that fails, and when the folder is no package of a tree.
    """
    chosen = path.name if path.suffix == ".ebuild" else None
    folder = (path.parent if chosen else path).resolve()
    if not (path.is_file() if chosen else path.is_dir()):
        raise Fault("there is no such package", where=str(path))
    _check_is_package(folder)
    tree = Tree("", folder.parent.parent, public=False, masters=tuple(masters))
    lineage = lineage_of(tree, {})
    package = _package(folder, lineage)
    ebuilds = package.ebuilds if chosen is None else (chosen,)
    if chosen and chosen not in package.ebuilds:
        hint = f"it should begin with {package.name}-"
        raise Fault(f"it is no ebuild of {package.key}", hint=hint, where=str(path))
    known = _metadata(lineage, package, ebuilds)
    mirrors = third_party_mirrors(lineage.folders)
    uris: dict[str, tuple[Uri, ...]] = {}
    for ebuild, metadata in known.items():
        for name, found in _uris(folder / ebuild, metadata, mirrors).items():
            uris[name] = tuple(dict.fromkeys(uris.get(name, ()) + found))
    return Fetchables(folder, package, lineage.layout, uris, chosen is None)


def _check_is_package(folder: Path) -> None:
    """Raise Fault for a folder that cannot be a package by where it lies."""
    tree = next((one for one in (folder, *folder.parents) if _is_tree(one)), None)
    if tree == folder.parent.parent:
        return
    what = "no package of a tree of ebuilds"
    if tree == folder:
        what = "a whole tree, and no package"
    elif tree == folder.parent:
        what = "a category of a tree, and no package"
    hint = f"name the folder of a package, such as {tree or folder.parent.parent}/app-misc/foo"
    raise Fault(f"this is {what}", hint=hint, where=str(folder))


def _is_tree(folder: Path) -> bool:
    return is_folder(folder / "profiles") or is_file(folder / "metadata" / "layout.conf")


def _package(folder: Path, lineage: Lineage) -> Package:
    key = f"{folder.parent.name}/{folder.name}"
    for package in packages_of(lineage.tree.path):
        if package.key == key and package.ebuilds:
            return package
    raise Fault(
        f"the tree {lineage.layout.name} has no package {key} with an ebuild",
        hint="name the folder of a package, such as app-misc/foo",
        where=str(folder),
    )


def _metadata(lineage: Lineage, package: Package, ebuilds: Sequence[str]) -> dict[str, Metadata]:
    cache = Cache(lineage.folders, trusting=bool(lineage.missing))
    found: dict[str, Metadata | Stale] = {
        ebuild: cache.find(package.category, package.name, ebuild) for ebuild in ebuilds
    }
    asked = [ebuild for ebuild, known in found.items() if isinstance(known, Stale)]
    wanted = [
        Wanted(package.category, package.name, package.version_of(ebuild)) for ebuild in asked
    ]
    answers = source_ebuilds(lineage.folders, wanted) if wanted else ()
    known = {ebuild: one for ebuild, one in found.items() if isinstance(one, Metadata)}
    for ebuild, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Stale):
            raise Fault(
                f"what the ebuild fetches is not known: {answer.reason}",
                hint=_missing(lineage) or "renew the tree's metadata/md5-cache",
                where=f"{lineage.tree.path}/{package.key}/{ebuild}",
            )
        known[ebuild] = answer
    return {ebuild: known[ebuild] for ebuild in ebuilds}


def _missing(lineage: Lineage) -> str | None:
    if not lineage.missing:
        return None
    names = ", ".join(lineage.missing)
    return f"name the folders of the trees that {lineage.layout.name} follows: {names}"


def _uris(
    ebuild: Path, metadata: Metadata, mirrors: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[Uri, ...]]:
    found: dict[str, tuple[Uri, ...]] = {}
    try:
        restrictions = restrictions_of(metadata.restrict)
        for source in sources_of(metadata.src_uri, metadata.eapi):
            problem = problem_of_source(source)
            if problem:
                raise BadUris(f"{source.name!r} cannot be the name of a file: {problem}")
            more = expanded(source, restrictions, mirrors)
            found[source.name] = found.get(source.name, ()) + more
    except BadUris as bad:
        raise Fault(f"SRC_URI or RESTRICT is wrong: {bad}", where=str(ebuild)) from None
    return found

"""Names of files: a version, a project, no revision, nothing that anybody could use.

What a name says is judged with the ebuild at hand. `-r131` is upstream's own version in
`lz4-r131.tar.gz`, and the ebuild's revision in `tool-1.1-r6.tar.gz` of `tool-1.1-r6.ebuild`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_ENDINGS = re.compile(
    r"(?:\.(?:tar|cpio))?\.(?:gz|bz2|xz|zst|lz|lzma|lz4|Z|br)$"
    r"|\.(?:tar|cpio|tgz|tbz2|tbz|txz|tlz|tzst|zip|jar|7z|rar|deb|rpm|gem|whl|crate|bin|run|exe"
    r"|AppImage|patch|diff|img|iso|pdf|ttf|otf|txt|mod|apk|crx|xpi|sh|py|war|vsix|box|msi|dmg)$",
    re.IGNORECASE,
)
_ALONE = r"(?:(?<=[^A-Za-z0-9])|^)(?:{})(?=[^A-Za-z0-9]|$)"
# Machines and systems: they tell the files of one project apart, and nothing else.
_MACHINE = re.compile(
    _ALONE.format(
        r"x86[_-]64|x86|x64|amd64|aarch64|arm64|armv[5678][a-z]*|i[3456]86|mips64|ppc64(?:le)?"
        r"|riscv(?:32|64)|s390x?|win(?:32|64)|linux(?:32|64)|mac64|macos64|(?:32|64)[_-]?bits?"
    ),
    re.IGNORECASE,
)
# What holds digits otherwise and says no version: formats, standards, generations.
_NO_VERSION = re.compile(
    _ALONE.format(
        r"utf-?(?:8|16|32)|iso-?8859|sha(?:1|256|512)|md5|base64|mp[34]|mpeg[24]|h26[45]|bz2|7z"
        r"|[345]g|usb[23]?|i18n|l10n|k8s|s3|ipv[46]|m68k|c99|[23]d|gtk[234]|qt[3456]|python[23]"
        r"|py[23]|lua5[1-4]?|kde[456]"
    ),
    re.IGNORECASE,
)
# What names one content: a commit, or a digest written with letters of both cases.
_COMMIT = re.compile(
    _ALONE.format(r"(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}") + r"|[0-9a-f]{40}",
    re.IGNORECASE,
)
_DIGEST = re.compile(r"(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[A-Za-z0-9_-]{40,}", re.ASCII)
_VERSION = re.compile(
    r"(?:(?<=[^A-Za-z0-9])|^)(?:v|r|rev|rel|release|ver|version|build|b|p|pl|rc|alpha|beta|snapshot"
    r"|git|svn)?[._-]?[0-9]+[a-z]{0,3}(?=[^A-Za-z]|$)"
    r"|[0-9]+(?:[._u][0-9]+)+|[0-9]{6,}|[A-Za-z]{2,}[0-9]{2,}|(?<=[A-Za-z])[0-9]+(?:rc|beta)[0-9]+",
    re.IGNORECASE,
)
_GENERIC = frozenset(
    "a all any app archive archives arm artifact artifacts asset assets backup bin binaries binary"
    " blob blobs build bundle code config configs content contents data db debug debian default"
    " dep deps devel dist doc docs documentation download downloads driver drivers examples extra"
    " extras fedora file files final firmware font fonts full fw generic gentoo git gnu head icons"
    " image images install installer latest lib libs license mac macos main man manual"
    " manpages master misc module modules musl my new old orig other out output package packages"
    " patch patches patchset plugin plugins prebuilt prebuilts presubmit program project release"
    " releases repo resources rev root samples sdk setup shared sources source src stable static"
    " stuff support system target test testdata tests tmp tool tools trunk ubuntu unknown update"
    " updates v vendor ver version web win windows work x y zip".split()
)
_REGISTERED = (".crate", ".gem", ".mod", ".whl")
_WORDS = re.compile(r"[A-Za-z]+")


class Named(NamedTuple):
    """Name a package as ebuilds do: `${PN}`, `${PV}` and the number of the revision."""

    project: str
    version: str
    revision: int = 0


def stem_of(name: str) -> str:
    """Cut the endings off that only say what kind of file it is."""
    stem = name
    while found := _ENDINGS.search(stem):
        if found.start() == 0:
            break
        stem = stem[: found.start()]
    return stem


def says_version(name: str, owners: Iterable[Named] = ()) -> bool:
    """Tell whether a name holds a version: a number, a date, a commit, or that of an owner.

    A commit's identity counts: it names one content and changes with it.
    """
    stem = stem_of(name)
    if _COMMIT.search(stem) or _DIGEST.search(stem):
        return True
    bare = _NO_VERSION.sub("", _MACHINE.sub("", stem))
    return bool(_VERSION.search(bare)) or any(_holds(bare, owner.version) for owner in owners)


def _holds(stem: str, version: str) -> bool:
    """Tell whether a version stands in the name, its points, dashes and letters aside."""
    digits = re.sub(r"[^0-9]", "", re.split(r"_(?:p|pre|rc|alpha|beta)", version)[0])
    squeezed = re.sub(r"[._-]", "", stem)
    if not digits or "9999" in digits:
        return False
    return re.search(rf"(?<![0-9]){digits}(?![0-9])", squeezed) is not None


def revision_of(name: str, owner: Named) -> str | None:
    """Give the ebuild's revision as it stands in the name, such as `-r6`; else None.

    It is the ebuild's when it follows the ebuild's version and is not above its revision.
    """
    if f"{owner.version}-r" not in name:
        return None
    pattern = rf"(?<![0-9.]){re.escape(owner.version)}(-r([0-9]+))(?![0-9A-Za-z])"
    for found in re.finditer(pattern, name):
        if int(found[2]) <= owner.revision:
            return found[1]
    return None


def is_generic(name: str, owners: Iterable[Named] = ()) -> bool:
    """Tell whether a name, its version aside, is what any project could use.

    A package that is called so itself, as `sys-apps/file` is, may use its own name; so may the
    packages of a registry in which nobody else can have it.
    """
    if name.endswith(_REGISTERED):
        return False
    stem = stem_of(name)
    bare = _MACHINE.sub(" ", stem)
    words = _words(_COMMIT.sub(" ", bare))
    if any(own and own <= words for own in (_words(owner.project) for owner in owners)):
        return False
    return words <= _GENERIC or (words == {"linux"} and bare != stem)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(text)}


def suggestion(name: str, owner: Named) -> str:
    """Suggest a name that keeps to the rules, with the same ending."""
    stem = stem_of(name)
    if stem == name:
        stem = re.sub(r"(?<=.)\.[A-Za-z]\w{0,3}$", "", name)
    ending = name[len(stem) :]
    rest = re.sub(r"(?:(?<=[^A-Za-z0-9])|^)v?[0-9][0-9.]*(?![A-Za-z0-9])", "", stem).strip("-_.")
    if not rest or rest == owner.project or rest in ("v", "r"):
        start = owner.project
    else:
        start = rest if rest.startswith(owner.project) else f"{owner.project}-{rest}"
    return f"{start}-{owner.version}{ending}"


def dated(name: str, date: str) -> str:
    """Put a date behind a name's stem, for a file that upstream changed in place."""
    stem = stem_of(name)
    return f"{stem}_{date.replace('-', '')}{name[len(stem) :]}"


def problems_of_name(name: str, owners: Iterable[Named] = ()) -> Iterator[str]:
    """Yield the ids of the rules of naming that a name breaks."""
    known = tuple(owners)
    if any(revision_of(name, owner) for owner in known):
        yield "name-revision"
    if not says_version(name, known):
        yield "name-version"
    if is_generic(name, known):
        yield "name-generic"

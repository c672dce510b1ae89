"""A repository of packages in apt's sources, with a key that counts for it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.apt import AptListsFact, list_names
from crosprov.operations import files
from crosprov.operations.effects import state_dir
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.operations.packages import apt_functions
from crosprov.planning.plan import Action

_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PRIVATE = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_WORD = re.compile(r"[!-~]+")
_MOST = 1024 * 1024  # bytes of a key

_SOURCE = """\
# Written by crosprov.
Types: deb
URIs: {url}
Suites: {suite}
Components: {components}
Signed-By: {key}
"""


def apt_source(name: str, url: str, suite: str, components: Sequence[str], key: str) -> None:
    """Let apt install from a repository; `key` is a file of the controller.

    Three changes of a plan: the key, the source in deb822 form, and its lists when apt has none
    of them. Raises PlanError when the key is not an OpenPGP public key.
    """
    content = _key(key)
    ending = "asc" if content.lstrip().startswith(_ARMOR) else "gpg"
    place = f"/etc/apt/keyrings/{name}.{ending}"
    for word in (url, suite, *components):
        if not _WORD.fullmatch(word):
            raise PlanError(f"{word!r} cannot stand in a source of apt")
    text = _SOURCE.format(url=url, suite=suite, components=" ".join(components), key=place)
    path = f"/etc/apt/sources.list.d/{name}.sources"
    files.file(place, content)
    files.file(path, text)
    apt_lists(url, suite, components)


@operation
def apt_lists(url: str, suite: str, components: Sequence[str]) -> Commands:
    """Fetch the lists of apt's sources when those of a repository are not there."""
    names = list_names(url, suite, components)
    if host.get_fact(AptListsFact, source=url, names=names):
        return
    folder = state_dir()
    note = Note(
        "apt lists", url, Action.RUN, after={"lists": f"{suite} {' '.join(components)}"},
        unknown=("what the repository holds",),
    )  # fmt: skip
    yield Noted(apt_functions(folder) + '\napt update || exit\nrm -f "$log"', note)


def _key(path: str) -> bytes:
    hint = "ask for the key as the repository's own documentation says"
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PlanError(f"the key {path} cannot be read: {error.strerror}", hint=hint) from None
    if _PRIVATE in content:
        raise PlanError(f"{path} holds a private key, which must not leave its owner", hint=hint)
    # A binary key begins with a packet of tag 6, in the old or the new form (RFC 4880, 4.2).
    binary = content[:1] in (b"\x98", b"\x99", b"\x9a", b"\xc6")
    armored = content.lstrip().startswith(_ARMOR)
    if not (binary or armored) or len(content) > _MOST:
        raise PlanError(f"{path} is not an OpenPGP public key", hint=hint)
    return content

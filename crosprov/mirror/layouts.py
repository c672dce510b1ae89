"""How mirrors arrange their files: `layout.conf` of GLEP 75, read and written.

Portage keeps to the same rules: a file without a word that is understood means flat, and of
those that are understood the first one counts most.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from crosprov.mirror.digests import LENGTHS, hasher, is_computable
from crosprov.mirror.model import Archive

NAME = "layout.conf"
LARGEST = 64 * 1024  # bytes of a layout.conf


class Layout(Protocol):
    """Say below which path of a mirror a file lies."""

    def path(self, archive: Archive) -> str | None:
        """Give the path, with `/` between its parts; None when this layout cannot name it."""
        ...


class Flat(NamedTuple):
    """All files in one folder."""

    def path(self, archive: Archive) -> str | None:
        """Give the name."""
        return archive.name

    def __str__(self) -> str:
        return "flat"


class FilenameHash(NamedTuple):
    """Folders named after the first bits of a digest of the file's name."""

    algorithm: str
    cutoffs: tuple[int, ...]

    def path(self, archive: Archive) -> str | None:
        """Give the name below its folders."""
        digest = hasher(self.algorithm)
        digest.update(archive.name.encode())
        return "".join((*_folders(digest.hexdigest(), self.cutoffs), archive.name))

    def __str__(self) -> str:
        return f"filename-hash {self.algorithm} {':'.join(map(str, self.cutoffs))}"


class ContentHash(NamedTuple):
    """Folders and names after a digest of the content."""

    algorithm: str
    cutoffs: tuple[int, ...]

    def path(self, archive: Archive) -> str | None:
        """Give the digest below its folders, where the archive has that digest."""
        digest = archive.hashes.get(self.algorithm)
        return None if digest is None else "".join((*_folders(digest, self.cutoffs), digest))

    def __str__(self) -> str:
        return f"content-hash {self.algorithm} {':'.join(map(str, self.cutoffs))}"


def _folders(digest: str, cutoffs: tuple[int, ...]) -> list[str]:
    """Cut a digest into folders; cutoffs count bits."""
    folders, at = [], 0
    for bits in cutoffs:
        folders.append(f"{digest[at : at + bits // 4]}/")
        at += bits // 4
    return folders


GENTOO = FilenameHash("BLAKE2B", (8,))  # what Gentoo's own mirrors have


def read_layouts(content: bytes | None) -> tuple[Layout, ...]:
    """Read a layout.conf, None where a mirror has none; any bytes give at least one layout."""
    if content is None or len(content) > LARGEST:
        return (Flat(),)
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    try:
        parser.read_string(content.decode())
        lines = dict(parser["structure"])
    except (UnicodeDecodeError, configparser.Error, KeyError):
        return (Flat(),)
    numbers = sorted((int(key), key) for key in lines if re.fullmatch("[0-9]{1,4}", key, re.ASCII))
    found = (_layout(lines[key].split()) for _, key in numbers)
    return tuple(layout for layout in found if layout is not None) or (Flat(),)


def _layout(words: Sequence[str]) -> Layout | None:
    if list(words) == ["flat"]:
        return Flat()
    if len(words) != 3 or words[0] not in ("filename-hash", "content-hash"):
        return None
    kind, algorithm, cutoffs = words
    if algorithm not in LENGTHS or not re.fullmatch("[0-9]{1,4}(:[0-9]{1,4})*", cutoffs, re.ASCII):
        return None
    bits = tuple(map(int, cutoffs.split(":")))
    if any(one % 4 or not one for one in bits) or sum(bits) > LENGTHS[algorithm] * 4:
        return None
    if kind == "content-hash":
        return ContentHash(algorithm, bits)
    return FilenameHash(algorithm, bits) if is_computable(algorithm) else None


def written(layouts: Sequence[Layout]) -> bytes:
    """Write a layout.conf, the preferred layout first."""
    lines = [f"{number}={layout}" for number, layout in enumerate(layouts)]
    return "\n".join(("[structure]", *lines, "")).encode()

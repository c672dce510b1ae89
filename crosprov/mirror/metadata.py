"""What an ebuild says, without running it: the entries of a tree's `metadata/md5-cache`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_UNREADABLE = "its entry in the tree's cache cannot be read"
LARGEST = 16 << 20  # bytes of an ebuild or of an entry


class Metadata(NamedTuple):
    """Hold what decides about an ebuild's files, as the ebuild's last word on it."""

    eapi: str
    src_uri: str
    restrict: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Say why an ebuild's metadata is not known."""

    reason: str


class Cache:
    """Read the cached metadata of a tree's ebuilds, and judge whether it is still true.

    An entry is true when it names the MD5 of the ebuild as it is now and, for each eclass, that
    of the eclass as it is now. An eclass that is in no folder is taken on trust when `trusting`,
    that is when the tree follows a master that is not at hand: nothing here could prove it.
    """

    def __init__(self, folders: Sequence[Path], *, trusting: bool) -> None:
        self._base = f"{folders[0]}/metadata/md5-cache"
        self._tree = str(folders[0])
        self._folders = tuple(folders)
        self._trusting = trusting
        self.exists = os.path.isdir(self._base)
        self._digests: dict[str, str | None] = {}
        self._judged: dict[str, str | None] = {}

    def find(self, category: str, package: str, ebuild: str) -> Metadata | Stale:
        """Give what the cache says of an ebuild, or why it cannot be believed."""
        stem = ebuild[: -len(".ebuild")]
        try:
            entry = "\n" + read_file(f"{self._base}/{category}/{stem}").decode()
        except FileNotFoundError:
            return Stale("the tree's cache has no entry of it")
        except (OSError, UnicodeDecodeError):
            return Stale(_UNREADABLE)
        try:
            now = _md5(read_file(f"{self._tree}/{category}/{package}/{ebuild}"))
        except OSError as error:
            return Stale(f"the ebuild cannot be read: {error.strerror}")
        digest = _value(entry, "_md5_")
        if digest != now:
            changed = "it was changed after its entry in the tree's cache was written"
            return Stale(changed if digest else _UNREADABLE)
        reason = self._judge(_value(entry, "_eclasses_"))
        if reason:
            return Stale(reason)
        return Metadata(
            _value(entry, "EAPI") or "0", _value(entry, "SRC_URI"), _value(entry, "RESTRICT")
        )

    def left_over(self, category: str, stems: Iterable[str]) -> list[str]:
        """Name the entries of a category that belong to no ebuild."""
        try:
            found = os.listdir(f"{self._base}/{category}")
        except OSError:
            return []
        return sorted(set(found).difference(stems))

    def _judge(self, eclasses: str) -> str | None:
        """Say which eclass is another one by now; answers are kept, ebuilds share their lists."""
        if eclasses not in self._judged:
            self._judged[eclasses] = self._compare(eclasses)
        return self._judged[eclasses]

    def _compare(self, eclasses: str) -> str | None:
        words = eclasses.split("\t") if eclasses else []
        if len(words) % 2:
            return _UNREADABLE
        for name, digest in zip(words[::2], words[1::2], strict=True):
            now = self._eclass(name)
            if now is None and not self._trusting:
                return f"its eclass {name} is nowhere to be found"
            if now is not None and now != digest:
                return f"its eclass {name} was changed after the cache was written"
        return None

    def _eclass(self, name: str) -> str | None:
        if name not in self._digests:
            self._digests[name] = self._digest_of(name)
        return self._digests[name]

    def _digest_of(self, name: str) -> str | None:
        if "/" in name:
            return None
        for folder in self._folders:
            try:
                return _md5(read_file(f"{folder}/eclass/{name}.eclass"))
            except (OSError, ValueError):
                continue
        return None


def read_file(path: str) -> bytes:
    """Read a small file with as few calls as can be; raises OSError, also for one too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, 1 << 16)
        if len(content) < 1 << 16:
            return content
        parts = [content]
        size = len(content)
        while part := os.read(descriptor, 1 << 20):
            size += len(part)
            if size > LARGEST:
                raise OSError(27, "it is too large", path)
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _value(entry: str, key: str) -> str:
    """Find a value in an entry of lines `KEY=value`, each with a line end before it."""
    start = entry.find(f"\n{key}=")
    if start < 0:
        return ""
    start += len(key) + 2
    end = entry.find("\n", start)
    return entry[start:] if end < 0 else entry[start:end]


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()

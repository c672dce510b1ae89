"""The payloads of a build's folder, and what is known of each.

Two eras of names are known: `update.gz` (deltas under `au/<build>_nton` and `_mton`), and since
2020 the names of the archive, `chromeos_*_full_dev*.bin` and `chromeos_*_delta_dev*.bin`. A
payload may have metadata in nebraska's format beside it, `<payload>.json`; without it they are
computed. Metadata that contradict the payload make it unusable.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from crosprov.devserver.digests import Digester, Digests

NEWER_THAN_ALL = "999999.0.0"
"""The version of a payload that nobody named: dev servers until 2019 said this of every one."""

_WORD = r"[A-Za-z0-9_.+~-]"
_FULL = re.compile(rf"chromeos_{_WORD}+_full_{_WORD}*bin|chromeos_{_WORD}+_dev\.bin")
_DELTA = re.compile(rf"chromeos_{_WORD}+_delta_{_WORD}*bin")
_OLD = "update.gz"
_OLD_DELTA = re.compile(r".+_(nton|mton)")
_VERSION = re.compile(r"(?:R\d+-)?(\d+(?:\.\d+){2,3})(?:-[A-Za-z0-9]+)?")
_MAX_JSON = 64 * 1024


class Unusable(Exception):
    """Say in one sentence why a payload must not be offered."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Describe a payload.

    `source_version` is the version that a delta starts from, empty when it is not known or the
    payload is a full one. `appid` is empty when any app may have it.
    """

    path: Path
    digests: Digests
    version: str
    is_delta: bool = False
    source_version: str = ""
    appid: str = ""
    metadata_signature: str = ""
    public_key: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def quoted_name(self) -> str:
        """The name as it stands in a URL: clients glue it to the codebase as it is."""
        return quote(self.path.name)


def full_payloads(folder: Path) -> list[Path]:
    """List the full payloads of a folder, those with today's names first."""
    found = [path for path in _named(folder, _FULL) if not _DELTA.fullmatch(path.name)]
    return found + ([] if _OLD_DELTA.fullmatch(folder.name) else _old(folder))


def delta_payloads(folder: Path) -> list[Path]:
    """List the delta payloads of a build's folder, those with today's names first."""
    found = _named(folder, _DELTA)
    if _OLD_DELTA.fullmatch(folder.name):
        found += _old(folder)
    for below in _sorted(folder / "au"):
        if _OLD_DELTA.fullmatch(below.name):
            found += _old(below)
    return found


def version_in(name: str) -> str:
    """Return the version of a build's name, without its milestone; empty when it has none."""
    match = _VERSION.fullmatch(name)
    return match[1] if match else ""


def describe(path: Path, digester: Digester) -> Payload:
    """Describe a payload by its metadata, or by its bytes and names.

    Raises Unusable when it cannot be read, or when its metadata contradict it.
    """
    try:
        digests = digester.digest(path)
        told = _told(path.with_name(f"{path.name}.json"))
    except OSError as error:
        why = error.strerror or str(error)
        raise Unusable(f"payload {path} cannot be read: {why}") from None
    if told is None:
        return _by_name(path, digests)
    try:
        return _checked(path, digests, told)
    except Unusable as error:
        raise Unusable(f"{path}.json does not fit its payload: {error}") from None


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [
        path
        for path in _sorted(folder)
        if pattern.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]


def _old(folder: Path) -> list[Path]:
    path = folder / _OLD
    return [path] if path.is_file() and not path.is_symlink() else []


def _sorted(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _by_name(path: Path, digests: Digests) -> Payload:
    """Describe a payload without metadata by its name and those of its folders.

    The names of deltas have the source's version before the target's.
    """
    named = [version for part in path.name.split("_") if (version := version_in(part))]
    folders = [path.parent.name.removesuffix("_nton").removesuffix("_mton")]
    if path.parent.parent.name == "au":
        folders.append(path.parent.parent.parent.name)
    versions = named or [version for name in folders if (version := version_in(name))]
    version = versions[-1] if versions else NEWER_THAN_ALL
    is_delta = bool(_DELTA.fullmatch(path.name)) or (
        path.name == _OLD and bool(_OLD_DELTA.fullmatch(path.parent.name))
    )
    source = ""
    if is_delta and len(named) == 2:
        source = named[0]
    elif is_delta and path.parent.name.endswith("_nton"):
        source = version
    return Payload(path, digests, version, is_delta, source)


def _told(path: Path) -> object:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_JSON + 1)
    except FileNotFoundError:
        return None
    if len(text) > _MAX_JSON:
        return "too large"
    try:
        return json.loads(text) or {}
    except (ValueError, RecursionError):
        return "no JSON"


def _checked(path: Path, digests: Digests, told: object) -> Payload:
    if not isinstance(told, Mapping):
        raise Unusable(f"it is {told}" if isinstance(told, str) else "it is no JSON object")
    _same("size", told.get("size"), digests.size)
    _same("metadata_size", told.get("metadata_size"), digests.metadata_size)
    # The key says hexadecimal; what nebraska's tools write there is base64.
    digest = _text(told, "sha256_hex")
    if digest.lower() != digests.sha256 and _hex(digest) != digests.sha256:
        raise Unusable(f"sha256_hex is {digest!r}, but the payload's sha256 is {digests.sha256}")
    is_delta = told.get("is_delta", False)
    if not isinstance(is_delta, bool):
        raise Unusable("is_delta must be true or false")
    version = _text(told, "target_version")
    if not version:
        raise Unusable("target_version is missing")
    source = _text(told, "source_version") if is_delta else ""
    if is_delta and not source:
        raise Unusable("a delta needs a source_version")
    return Payload(
        path,
        digests,
        version,
        is_delta,
        source,
        appid=_text(told, "appid"),
        metadata_signature=_text(told, "metadata_signature"),
        public_key=_text(told, "public_key"),
    )


def _same(key: str, told: object, found: int) -> None:
    if isinstance(told, bool) or told != found:
        raise Unusable(f"{key} is {told!r}, but the payload's is {found}")


def _text(told: Mapping[str, Any], key: str) -> str:
    """Return a text, empty when it is missing or null; it must be fit for an XML attribute."""
    value = told.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise Unusable(f"{key} must be a text")
    return value


def _hex(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex()
    except ValueError:
        return ""

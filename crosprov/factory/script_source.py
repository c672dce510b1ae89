"""The deployment script, from where an inventory says that it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
from pathlib import Path

from crosprov.errors import PlanError
from crosprov.factory.checkout import script_in
from crosprov.factory.release import MOST
from crosprov.factory.web import Failed, fetch, shown
from crosprov.inventory.factory import ScriptSource

WITHIN = 60.0  # seconds for the script's download
_ENCODED = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")

_fetched: dict[str, bytes] = {}
_fetching = threading.Lock()


def script_of(source: ScriptSource) -> tuple[bytes, str]:
    """Give the script's content, and the words that say where it came from.

    What `url` gives is fetched once in a run. Raises PlanError when the source cannot be had,
    or is not what `sha256` says.
    """
    if source.url is not None:
        content, where = _downloaded(source.url), f"the script of {shown(source.url)}"
    elif source.checkout is not None:
        content, where = script_in(source.checkout)
    elif source.file is not None:
        content, where = _read(source.file), str(source.file)
    digest = hashlib.sha256(content).hexdigest()
    if source.sha256 is not None and digest != source.sha256:
        raise PlanError(
            f"{where} has the sha256 {digest}, and the inventory says {source.sha256}",
            hint="when the new script is wanted, write its sha256 into the inventory",
        )
    return content, where


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST + 1)
    except OSError as error:
        raise PlanError(
            f"the deployment script {path} cannot be read: {error.strerror}",
            hint="paths are relative to the inventory",
        ) from None


def _downloaded(url: str) -> bytes:
    with _fetching:
        if url not in _fetched:
            try:
                _fetched[url] = decoded(fetch(url, 2 * MOST, WITHIN), shown(url))
            except Failed as failed:
                raise PlanError(
                    f"the deployment script cannot be fetched from {shown(url)}: {failed.sentence}",
                    hint="without the internet, name a checkout, a file or a bundle",
                ) from None
        return _fetched[url]


def decoded(content: bytes, where: str) -> bytes:
    """Decode base64, as googlesource gives files with ?format=TEXT; leave scripts as they are.

    Raises PlanError for base64 that was cut short.
    """
    if content.startswith(b"#!") or not _ENCODED.fullmatch(content):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        raise PlanError(
            f"what {where} gives is base64 that was cut short",
            hint="try again; a sha256 in the inventory would tell it for sure",
        ) from None

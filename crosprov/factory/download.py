"""The image's tarball from the web into a file, gone on with after whatever breaks it off."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crosprov.errors import PlanError
from crosprov.factory.web import Answer, Failed, asked, shown

Moved = Callable[[int, int | None], None]
"""Called with the bytes that are there, and those that there will be, where that is known."""

_PIECE = 1 << 20
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
_WHOLE = re.compile(r"bytes \*/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds: without a byte, and between tries; `slowest` in bytes/s."""

    silence: float = 30.0
    pauses: tuple[float, ...] = (1.0, 5.0, 15.0)
    slowest: int = 1024
    window: float = 60.0


def download(url: str, part: Path, moved: Moved, patience: Patience | None = None) -> None:
    """Bring a file into `part`, from where an earlier try left it.

    What the server says about size and MD5 (Google Storage's x-goog-hash) is checked. A try
    that brought something does not count. Raises PlanError; the part stays for the next run
    unless it is wrong.
    """
    patience = patience or Patience()
    pauses = list(patience.pauses)
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, moved, patience)
        except Failed as failed:
            if _size(part) > before:
                pauses = list(patience.pauses)
            if not failed.passing or not pauses:
                raise _given_up(url, part, failed) from None
        except OSError as error:
            raise PlanError(f"{part} cannot be written: {error.strerror}") from None
        time.sleep(pauses.pop(0))


def _attempt(url: str, part: Path, moved: Moved, patience: Patience) -> None:
    with open(part, "ab") as file:
        begin = file.tell()
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        with asked(url, headers, patience.silence) as answer:
            if answer.is_page:
                raise Failed("it is a web page, as places give that want a login")
            total = _place(answer, file)
            if answer.status != 416:
                _copy(answer, file, total, moved, patience)
            told = ",".join(answer.headers.get_all("x-goog-hash", []))
    if total is not None and _size(part) != total:
        raise Failed(f"{total - _size(part)} bytes are missing", passing=_size(part) < total)
    _check_md5(part, told)


def _place(answer: Answer, file: BinaryIO) -> int | None:
    """Bring the file's end to where the answer begins; give the size of the whole."""
    begin = file.tell()
    if answer.status == 416:
        match = _WHOLE.fullmatch(answer.headers.get("Content-Range", ""))
        if match and int(match[1]) == begin:
            return begin
        file.truncate(0)
        raise Failed("the server has no bytes from there on", passing=True)
    if answer.status == 206:
        match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if match and int(match[1]) == begin:
            return int(match[2])
        file.truncate(0)
        raise Failed("the server gives another part than the one asked for", passing=True)
    if begin:
        file.truncate(0)
        file.seek(0)
    length = answer.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _copy(
    answer: Answer, file: BinaryIO, total: int | None, moved: Moved, patience: Patience
) -> None:
    done, came, begun = file.tell(), 0, time.monotonic()
    while piece := answer.read(_PIECE):
        file.write(piece)
        done, came = done + len(piece), came + len(piece)
        moved(done, total)
        if (took := time.monotonic() - begun) >= patience.window:
            if came < patience.slowest * took:
                raise Failed(f"it is too slow ({came / took:.0f} bytes per second)", passing=True)
            came, begun = 0, time.monotonic()
    if answer.missing:
        raise Failed(f"the connection broke off, {answer.missing} bytes are missing", passing=True)


def _check_md5(part: Path, told: str) -> None:
    """Compare with the MD5 that Google Storage tells; it is against damage, not malice."""
    match = re.search(r"(?:^|[ ,])md5=([A-Za-z0-9+/]+=*)", told)
    if match is None:
        return
    with open(part, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if base64.b64encode(found).decode() != match[1]:
        part.unlink()
        raise Failed("what came is not what the server has (its MD5 differs)", passing=True)


def _given_up(url: str, part: Path, failed: Failed) -> PlanError:
    if not _size(part):
        part.unlink(missing_ok=True)
    kept = f"; {part.name} keeps what came, and the next run goes on from there"
    return PlanError(
        f"the image's tarball cannot be fetched from {shown(url)}: {failed.sentence}",
        hint="name a mirror with --site, or the tarball itself with --image"
        + (kept if failed.passing and part.exists() else ""),
    )


def _size(part: Path) -> int:
    try:
        return os.stat(part).st_size
    except FileNotFoundError:
        return 0

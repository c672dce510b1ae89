"""Binaries written as text: base64, uuencode, git's binary patches, hexadecimal in many dresses.

A long run of digits alone is not enough: lists of checksums, keys in armour, images within a
document and tables of a program are text that people read or write. What is found must be long,
must fill its lines, and must not be any of these.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

SHORTEST = 512  # bytes of a blob after decoding; what is shorter may be a key or a digest
LONG_LINE = 2048  # digits of base64 that make a blob on a line of their own

# Each line is of the first kind that it fills whole. All repetitions are possessive, so that no
# text takes longer than its length.
_KINDS: tuple[tuple[str, str], ...] = (
    ("Intel HEX", r":[0-9A-Fa-f]{10,}+"),
    ("S-records", r"S[0-9][0-9A-Fa-f]{8,}+"),
    (
        "an array of bytes",
        r"(?:[\w ]*+\{)?+(?:0[xX][0-9A-Fa-f]{1,2}+[uU]?+[ \t]*+,?+[ \t]*+){4,}+"
        r"[}; \t]*+(?:/[*/].*+)?+",
    ),
    ("an array of bytes", r'[ "]*+(?:\\x[0-9A-Fa-f]{2}){8,}+[";,\\ ]*+'),
    (
        "a hexadecimal dump",
        r"(?:0x)?+[0-9A-Fa-f]{4,16}+:?+[ \t]++(?:[0-9A-Fa-f]{2,8}+(?:[ \t]++|$)){4,}+"
        r"(?:[|>].*+|.{16,20})?+",
    ),
    ("hexadecimal", r"[\"']?+(?:[0-9A-Fa-f]{2}[ \t]?+){16,}+[\"',;\\]{0,3}+"),
    ("base64", r"[\"']?+[A-Za-z0-9+/]{40,}+={0,2}+[\"',;\\]{0,3}+"),
    ("uuencode", r"M[ -`]{58,60}"),
)
_LINE = re.compile("|".join(f"({pattern})" for _, pattern in _KINDS).encode())
_PROMISING = re.compile(
    rb"[0-9A-Za-z+/]{32}|(?:(?:0[xX]|\\x)[0-9A-Fa-f]{2}[uU]?+[, \t\"]{0,3}+){4}"
    rb"|(?:[0-9A-Fa-f]{2,8}+[ \t]++){4}|GIT binary patch|\nM[ -`]{58}"
)
_GIT = re.compile(rb"(?m)^GIT binary patch\r?\n(?:literal|delta) ([0-9]+)\r?$")
_ARMOUR = re.compile(rb"-----BEGIN [^-\n]++-----.*?-----END [^-\n]++-----", re.DOTALL)
_LONG = re.compile(rb"[A-Za-z0-9+/]{%d,}+={0,2}+" % LONG_LINE)
_DATA = re.compile(rb"data:[\w/+.;=-]*,$|base64,[\"']?$")
_DIGESTS = frozenset({32, 40, 56, 64, 96, 128})  # digits of the digests in use


class Blob(NamedTuple):
    """Say where in a text a blob begins, and how it is written."""

    line: int
    kind: str


def encoded_in(content: bytes) -> Blob | None:
    """Find the first blob of a text; None when there is none."""
    if len(content) < SHORTEST or not _PROMISING.search(content):
        return None
    text = content
    if b"-----BEGIN " in text:
        text = _ARMOUR.sub(lambda found: b"\n" * found[0].count(b"\n"), text)
    found = [blob for blob in (_patch(text), _in_runs(text), _in_long_lines(text)) if blob]
    return min(found) if found else None


def _patch(text: bytes) -> Blob | None:
    for match in _GIT.finditer(text):
        if int(match[1]) >= SHORTEST:
            return Blob(_line_at(text, match.start()), "a binary patch of git")
    return None


def _in_runs(text: bytes) -> Blob | None:
    for line, kind, run in _runs(text.splitlines()):
        if _ENOUGH[kind](run):
            return Blob(line, kind)
    return None


def _runs(lines: list[bytes]) -> Iterator[tuple[int, str, list[bytes]]]:
    """Yield the runs of lines of one kind; the line after a run belongs to it when it is short.

    The last line of a blob is seldom full, and looks like any word.
    """
    kind, begin, run = "", 0, list[bytes]()
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        found = _LINE.fullmatch(bare) if len(bare) >= 11 else None
        now = _KINDS[found.lastindex - 1][0] if found and found.lastindex else ""
        if now == "hexadecimal" and kind == "base64":
            now = kind
        if now != kind:
            if kind:
                yield begin, kind, run
            kind, begin, run = now, number, []
        run.append(bare)
    if kind:
        yield begin, kind, run


def _in_long_lines(text: bytes) -> Blob | None:
    """Find a blob that is a single word; an image within a document is part of it."""
    for match in _LONG.finditer(text):
        before = text[max(0, match.start() - 80) : match.start()]
        if not _DATA.search(before) and _stands_for_binary(match[0]):
            return Blob(_line_at(text, match.start()), "base64")
    return None


def _enough_lines(run: list[bytes]) -> bool:
    return len(run) >= 16


def _enough_dump(run: list[bytes]) -> bool:
    """Tell whether the lines hold bytes, or begin with addresses at equal distances.

    Tables of numbers, as drivers have them for the devices that they serve, do neither.
    """
    rows = [line.split() for line in run]
    words = [word for row in rows for word in row]
    addresses = [int(row[0].rstrip(b":"), 16) for row in rows]
    steps = [later - earlier for earlier, later in pairwise(addresses)]
    regular = len(run) > 1 and steps[0] > 0 and steps.count(steps[0]) >= len(steps) * 0.9
    of_bytes = sum(len(word) == 2 for word in words) > len(words) * 0.6
    return len(run) >= 16 and (regular or of_bytes)


def _enough_bytes(run: list[bytes]) -> bool:
    count = sum(len(re.findall(rb"[xX][0-9A-Fa-f]{1,2}", line)) for line in run)
    return count >= SHORTEST


def _enough_base64(run: list[bytes]) -> bool:
    """Tell whether a run is one long text of base64: all its lines but the last are as long."""
    lines = [re.sub(rb"[^A-Za-z0-9+/]", b"", line) for line in run]
    if len({len(line) for line in lines[:-1]}) > 1 or len(lines) < 4:
        return False
    return _stands_for_binary(b"".join(lines))


def _enough_hexadecimal(run: list[bytes]) -> bool:
    lines = [re.sub(rb"[^0-9A-Fa-f]", b"", line) for line in run]
    digits = b"".join(lines).lower()
    lengths = {len(line) for line in lines}
    if len(digits) < 2 * SHORTEST or digits.isdigit() or len(set(digits)) < 6:
        return False
    if len(lengths) == 1 and lengths <= _DIGESTS and not any(b" " in line for line in run):
        return False  # one digest a line
    return not _is_text(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))


_ENOUGH: dict[str, Callable[[list[bytes]], bool]] = {
    "Intel HEX": _enough_lines,
    "S-records": _enough_lines,
    "an array of bytes": _enough_bytes,
    "a hexadecimal dump": _enough_dump,
    "hexadecimal": _enough_hexadecimal,
    "base64": _enough_base64,
    "uuencode": _enough_lines,
}


def _stands_for_binary(digits: bytes) -> bool:
    """Tell whether digits of base64 stand for a binary, and are no words or other digits."""
    kinds = (rb"[A-Z]", rb"[a-z]", rb"[0-9]", rb"[+/]")
    if not all(re.search(kind, digits) for kind in kinds):
        return False
    try:
        content = base64.b64decode(digits[: len(digits) // 4 * 4])
    except binascii.Error:
        return False
    return len(content) >= SHORTEST and not _is_text(content)


def _is_text(content: bytes) -> bool:
    sample = content[:4096]
    readable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in sample)
    return readable > 0.9 * len(sample)


def _line_at(text: bytes, offset: int) -> int:
    return text.count(b"\n", 0, offset) + 1

"""Binaries written as text: base64, base32, uuencode, git's binary patches, digits in many dresses.

A long run of digits alone is not enough: lists of checksums, keys in armour, images within a
document and tables of a program are text that people read or write. What is found must be long,
must fill its lines, and must not stand for any of these.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from crosprov.mirror.policy.decoded import SHORTEST, is_binary, is_rich

LONG_LINE = 2048  # digits of base64 that make a blob on a line of their own

_ESCAPED = r"\\(?:x[0-9A-Fa-f]{2}|0?[0-7]{3})"
# Each line is of the first kind that it fills whole. Repetitions are possessive or short, so that
# no text takes longer than its length.
_KINDS: tuple[tuple[str, str], ...] = (
    ("Intel HEX", r":[0-9A-Fa-f]{10,}+"),
    ("S-records", r"S[0-9][0-9A-Fa-f]{8,}+"),
    (
        "an array of bytes",
        r"(?:[\w ]*+\{)?+(?:0[xX][0-9A-Fa-f]{1,2}+[uU]?+[ \t]*+,?+[ \t]*+){4,}+"
        r"[}; \t]*+(?:/[*/].*+)?+",
    ),
    (
        "an array of numbers",
        r"(?:[\w \[\]{=\"':.*-]{0,80}?[{\[])?(?:[ \t]*+-?[0-9]{1,4}+[uU]?+[ \t]*+(?:,|(?=[}\]]|$)))"
        r"{4,}+[}\]; \t,]*+(?:/[*/].*+)?+",
    ),
    ("escaped bytes", rf"(?![+-])(?:[\w .=$%+-]*+[\"'])?+[ ]*+(?:{_ESCAPED}){{8,}}+[\"';,\\ )]*+"),
    (
        "a hexadecimal dump",
        r"(?:0x)?+[0-9A-Fa-f]{4,16}+:?+[ \t]++(?:[0-9A-Fa-f]{2,8}+(?:[ \t]++|$)){4,}+"
        r"(?:[|>].*+|.{16,20})?+",
    ),
    ("hexadecimal", r"[\"']?+(?:[0-9A-Fa-f]{2}[ \t]?+){16,}+[\"',;\\]{0,3}+"),
    ("base32", r"[\"']?+(?:[A-Z2-7]{40,}+|[a-z2-7]{40,}+)={0,6}+[\"',;\\]{0,3}+"),
    ("base64", r"[\"']?+[A-Za-z0-9+/]{40,}+={0,2}+[\"',;\\]{0,3}+"),
    ("uuencode", r"M[ -`]{58,60}"),
)
_LINE = re.compile("|".join(f"({pattern})" for _, pattern in _KINDS).encode())
_PROMISING = re.compile(
    rb"[0-9A-Za-z+/]{32}|(?:(?:0[xX]|\\x)[0-9A-Fa-f]{2}[uU]?+[, \t\"]{0,3}+){4}"
    rb"|(?:\\0?[0-7]{3}){8}|(?:[0-9]{1,4}[uU]?,[ \t]*+){4}"
    rb"|(?:[0-9A-Fa-f]{2,8}+[ \t]++){4}|GIT binary patch|\nM[ -`]{58}"
)
_GIT = re.compile(rb"(?m)^GIT binary patch\r?\n(?:literal|delta) ([0-9]+)\r?$")
_ARMOUR = re.compile(rb"-----BEGIN [^-\n]++-----.*?-----END [^-\n]++-----", re.DOTALL)
_LONG = re.compile(rb"[A-Za-z0-9+/]{%d,}+" % LONG_LINE)
_DATA = re.compile(rb"data:[\w/+.;=-]*,$|base64,[\"']?$")
_DIGESTS = frozenset({32, 40, 56, 64, 96, 128})  # digits of the digests in use
_DIGESTS32 = frozenset({52, 56, 103})
_BASE32 = re.compile(rb"[A-Z2-7]++|[a-z2-7]++")
_NO_NUMBER = re.compile(rb"^[^{\[]*+[\w\]]?[^{]*+\{|\[[^]\[,]*\]|/[*/].*")  # a name, a comment
# A line of a run may look as if it were of a poorer kind.
_WITHIN = {("base64", "hexadecimal"), ("base64", "base32"), ("base32", "hexadecimal")}


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
        if (kind, now) in _WITHIN:
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
        judge = _is_base32 if _BASE32.fullmatch(match[0]) else _is_base64
        if not _DATA.search(before) and judge(match[0]):
            kind = "base32" if _BASE32.fullmatch(match[0]) else "base64"
            return Blob(_line_at(text, match.start()), kind)
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
    digits = re.findall(rb"0[xX]([0-9A-Fa-f]{1,2})", b"\n".join(run))
    return is_binary(bytes(int(one, 16) for one in digits))


def _enough_numbers(run: list[bytes]) -> bool:
    """Tell whether numbers, octal when all but digits begin with 0, are bytes and a binary."""
    words = re.findall(rb"-?[0-9]+", b"\n".join(_NO_NUMBER.sub(b"", line) for line in run))
    octal = all(re.fullmatch(rb"-?(?:0[0-7]+|[0-7])", word) for word in words)
    numbers = [int(word, 8 if octal else 10) for word in words]
    if not all(-128 <= number <= 255 for number in numbers):
        return False
    content = bytes(number & 0xFF for number in numbers)
    return is_binary(content) and is_rich(content)


def _enough_escapes(run: list[bytes]) -> bool:
    found = re.finditer(rb"\\x([0-9A-Fa-f]{2})|\\0?([0-7]{3})", b"".join(run))
    numbers = [int(one[1], 16) if one[1] else int(one[2], 8) for one in found]
    return is_binary(bytes(number & 0xFF for number in numbers))


def _enough_base64(run: list[bytes]) -> bool:
    return _is_base64(_one_text(run, rb"[^A-Za-z0-9+/]"))


def _enough_base32(run: list[bytes]) -> bool:
    lengths = {len(line.strip(b"\"',;\\=")) for line in run}
    if len(lengths) == 1 and lengths <= _DIGESTS32:
        return False  # one digest or address a line
    return _is_base32(_one_text(run, rb"[^A-Za-z2-7]"))


def _one_text(run: list[bytes], other: bytes) -> bytes:
    """Join a run to one text: all its lines but the last are as long; empty when they are not."""
    lines = [re.sub(other, b"", line) for line in run]
    if len({len(line) for line in lines[:-1]}) > 1 or len(lines) < 4:
        return b""
    # An end on each line is that of a list.
    return b"" if any(b"=" in line for line in run[:-1]) else b"".join(lines)


def _enough_hexadecimal(run: list[bytes]) -> bool:
    lines = [re.sub(rb"[^0-9A-Fa-f]", b"", line) for line in run]
    digits = b"".join(lines).lower()
    lengths = {len(line) for line in lines}
    if len(digits) < 2 * SHORTEST or digits.isdigit() or len(set(digits)) < 6:
        return False
    if len(lengths) == 1 and lengths <= _DIGESTS and not any(b" " in line for line in run):
        return False  # one digest a line
    return is_binary(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))


_ENOUGH: dict[str, Callable[[list[bytes]], bool]] = {
    "Intel HEX": _enough_lines,
    "S-records": _enough_lines,
    "an array of bytes": _enough_bytes,
    "an array of numbers": _enough_numbers,
    "escaped bytes": _enough_escapes,
    "a hexadecimal dump": _enough_dump,
    "hexadecimal": _enough_hexadecimal,
    "base32": _enough_base32,
    "base64": _enough_base64,
    "uuencode": _enough_lines,
}


def _is_base64(digits: bytes) -> bool:
    """Tell whether digits of base64 stand for a binary, and are no words or other digits."""
    kinds = (rb"[A-Z]", rb"[a-z]", rb"[0-9]", rb"[+/]")
    if not all(re.search(kind, digits) for kind in kinds):
        return False
    try:
        return is_binary(base64.b64decode(digits[: len(digits) // 4 * 4]))
    except binascii.Error:
        return False


def _is_base32(digits: bytes) -> bool:
    """Tell whether letters of one case and 2 to 7 stand for a binary; a fifth of such is digits."""
    numbers = sum(digits.count(number) for number in (b"2", b"3", b"4", b"5", b"6", b"7"))
    if numbers * 10 < len(digits):
        return False
    return is_binary(base64.b32decode(digits[: len(digits) // 8 * 8].upper()))


def _line_at(text: bytes, offset: int) -> int:
    return text.count(b"\n", 0, offset) + 1

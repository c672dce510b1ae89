"""What a text of digits stands for: a binary, or something that people write as digits.

Tables of a program, keys, certificates and text count as no binary, however they are written.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

SHORTEST = 600  # bytes; what is shorter may be a key, and 512 of them are one of 4096 bits
_SAMPLE = 4096
_SMOOTH = 0.3  # of the steps turn at most, in a table of a curve; in a program half of them do
_LINE = 64  # bytes of a last line that is short, and so no part of what was found
_BOX = 256  # values of a byte, each of which a table of substitutions has once


def is_binary(content: bytes) -> bool:
    """Tell whether decoded bytes are a binary that is long enough to matter."""
    return (
        len(content) >= SHORTEST
        and not _is_text(content)
        and not _is_structure(content)
        and not _is_table(content)
    )


def is_rich(content: bytes) -> bool:
    """Tell whether numbers below 256 use what a byte can say, as code and packed data do.

    Tables of a parser, of states and of kinds of letters have as small numbers, but few of the
    highest; a blob of 600 bytes that has none of them is hardly to be met.
    """
    counts = Counter(byte >> 4 for byte in content)
    entropy = -sum(
        count / len(content) * math.log2(count / len(content))
        for count in Counter(content).values()
    )
    return len(counts) >= 15 and counts[15] * 100 >= len(content) and entropy >= 5


def _is_text(content: bytes) -> bool:
    sample = content[:_SAMPLE]
    readable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in sample)
    if readable > 0.9 * len(sample):
        return True
    try:
        text = sample.decode()
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3:
            return False
        text = sample[: error.start].decode()
    return sum(one.isprintable() or one.isspace() for one in text) > 0.9 * len(text)


def _is_structure(content: bytes) -> bool:
    """Tell whether it is one whole structure of ASN.1, as keys and certificates are (X.690)."""
    if content[:2] != b"\x30\x82":
        return False
    missing = int.from_bytes(content[2:4], "big") + 4 - len(content)
    return -3 <= missing <= _LINE


def _is_table(content: bytes) -> bool:
    """Tell whether it is a table: of substitutions, of a curve, or the same few bytes again."""
    boxes = [content[at : at + _BOX] for at in range(0, len(content) - _BOX + 1, _BOX)]
    if boxes and all(len(set(box)) == _BOX for box in boxes):
        return True
    steps = [later - earlier for earlier, later in pairwise(content[:_SAMPLE]) if later != earlier]
    turns = sum((one > 0) != (other > 0) for one, other in pairwise(steps))
    return turns <= len(steps) * _SMOOTH

"""The table of lsb-release files: lsb_files.txt, in a writing that shows what cannot be seen.

A case is its name, the file as it is, the file after an apply (or the sentence with which it is
refused), the diff of the plan and what the plan tells.

In files and diffs ␍ is a carriage return, ␉ a tab, ␀ a NUL, ␠ a blank, ‹ff› a byte, and ␄ at
the end of a file means that no line feed stands there. ⟪N×X⟫ stands for N times X.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SIGNS = {"␍": "\r", "␉": "\t", "␀": "\0", "␠": " "}


@dataclass(frozen=True)
class Case:
    """One file."""

    name: str
    before: bytes
    after: bytes = b""
    refused: str = ""
    diff: str = ""
    told: str = ""


def decoded(text: str) -> bytes:
    """Read the bytes of a file that is written as above."""
    text = text[:-2] if text.endswith("␄\n") else text
    text = repeated(text)
    for sign, real in _SIGNS.items():
        text = text.replace(sign, real)
    pieces = re.split(r"‹([0-9a-f ]+)›", text)
    return b"".join(
        bytes.fromhex(piece) if number % 2 else piece.encode()
        for number, piece in enumerate(pieces)
    )


def repeated(text: str) -> str:
    """Write out what stands there several times."""
    return re.sub(r"⟪(\d+)×([^⟫]*)⟫", lambda found: found[2] * int(found[1]), text)


def shown(text: str) -> str:
    """Write a text of a plan as in the table."""
    for sign, real in _SIGNS.items():
        if sign != "␠":
            text = text.replace(real, sign)
    text = "".join(f"‹{ord(c):02x}›" if c in "\v\f\ufeff" else c for c in text)
    return "\n".join(re.sub(r" +$", lambda m: "␠" * len(m[0]), line) for line in text.split("\n"))


def cases() -> list[Case]:
    """Read the table."""
    text = Path(__file__).with_name("lsb_files.txt").read_text(encoding="utf-8")
    found = []
    for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = block.partition("\n")
        before, *parts = re.split(r"^>>> (\w+)\n", body, flags=re.MULTILINE)
        named = dict(zip(parts[::2], parts[1::2], strict=True))
        found.append(
            Case(
                name, decoded(before), decoded(named.get("after", "")),
                named.get("refused", "").strip(), repeated(named.get("diff", "").strip("\n")),
                named.get("told", "").strip(),
            )
        )  # fmt: skip
    return found

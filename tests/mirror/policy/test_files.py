"""Binaries in a tree, in any dress, and text that only looks like one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror.policy.binaries import binary_kind
from crosprov.mirror.policy.encoded import encoded_in

from .growing import Grove

BLOB = random.Random(1).randbytes(4096)


def lines(text: str, length: int) -> str:
    return "".join(f"{text[at : at + length]}\n" for at in range(0, len(text), length))


def uuencoded() -> str:
    pieces = (BLOB[at : at + 45] for at in range(0, len(BLOB), 45))
    return "".join(binascii.b2a_uu(piece).decode() for piece in pieces)


def dump(word: int) -> str:
    rows = []
    for at in range(0, len(BLOB), 16):
        digits = BLOB[at : at + 16].hex(" ", word)
        rows.append(f"{at:08x}: {digits}  ................\n")
    return "".join(rows)


@pytest.mark.parametrize(
    "content",
    [
        b"\x7fELF\x02\x01",
        b"\x1f\x8b\x08",
        b"\x89PNG\r\n\x1a\nabc",
        b"PK\x03\x04abc",
        b"%PDF-1.4\n",
        b"text\x00text",
        b"x" * 50000 + b"\x00",
        BLOB.replace(b"\x00", b"\x80"),
        b"\xff\xfe" + BLOB,
    ],
)
def test_binaries_are_found(tmp_path: Path, content: bytes) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x", content)
    assert grove.rules() == ["binary"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text\n",
        "Grüße\n".encode(),
        "Grüße\n".encode("latin-1"),
        b"\xff\xfe" + "text in UTF-16\n".encode("utf-16-le"),
        b"\x1b[31mred\x1b[0m\n",
        b"GIF is a format\n",
        b"MZ is how this begins\n",
    ],
)
def test_text_is_no_binary(tmp_path: Path, content: bytes) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x", content)
    assert grove.rules() == []


@pytest.mark.parametrize(
    "text",
    [
        lines(base64.b64encode(BLOB).decode(), 76),
        lines(base64.b64encode(BLOB).decode(), 64),
        base64.b64encode(BLOB).decode() + "\n",
        'x="' + base64.b64encode(BLOB).decode() + '"\n',
        lines(BLOB.hex(), 60),
        lines(BLOB.hex().upper(), 80),
        lines(BLOB.hex(" "), 48),
        dump(2),
        dump(1),
        "const u8 x[] = {\n" + lines("".join(f"0x{b:02x}, " for b in BLOB), 72) + "};\n",
        lines("".join(f"\\x{b:02x}" for b in BLOB), 64),
        "".join(
            f":10{at:04X}00{BLOB[at : at + 16].hex().upper()}00\n" for at in range(0, 4096, 16)
        ),
        "diff --git a/x b/x\nGIT binary patch\nliteral 4096\nzcmV;x\n\n" + "y" * 600,
        "begin 644 x\n" + uuencoded() + "`\nend\n",
    ],
)
def test_binaries_written_as_text_are_found(tmp_path: Path, text: str) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x.txt", "# a comment\n" + text)
    assert grove.rules() == ["encoded-binary"]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{hashlib.sha256(bytes([n])).hexdigest()}\n" for n in range(99)),
        "".join(f"{hashlib.sha1(bytes([n])).hexdigest()}  file{n}\n" for n in range(99)),
        "".join(f"x v1.{n} h1:{base64.b64encode(BLOB[n : n + 32]).decode()}\n" for n in range(99)),
        "-----BEGIN CERTIFICATE-----\n"
        + lines(base64.b64encode(BLOB).decode(), 64)
        + "-----END CERTIFICATE-----\n",
        '<image href="data:image/png;base64,' + base64.b64encode(BLOB).decode() + '"/>\n',
        lines(base64.b64encode(b"readable words and more of them\n" * 100).decode(), 76),
        lines("0123456789" * 500, 60),
        ("\t0191 0193 0194 0197 019d 019e 0400 0401 0402 0403 0404\n" * 40),
        lines("abcdefghij" * 500, 60),
        "#define X 0x10, 0x20, 0x30, 0x40\n" * 20,
        "word " * 5000,
        "/a/long/path/that/goes/on/and/on/for/more/than/forty/characters\n" * 40,
    ],
)
def test_text_with_digits_is_no_binary(tmp_path: Path, text: str) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x.txt", text)
    assert grove.rules() == []


@given(st.binary(max_size=3000))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    assert binary_kind(content) is None or content
    assert encoded_in(content) is None or len(content) >= 512


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["0x1 ", "00 ", " ", "\\x00", "0x00,", "abc\t", "A", "M", "0x"])
def test_no_text_takes_long(text: str) -> None:
    encoded_in((text * 200_000 + "!").encode())
    encoded_in((text * 30 + "!\n").encode() * 5_000)


def test_only_what_was_committed_counts(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x", b"\x7fELF")
    grove.commit()
    grove.write("app-misc/tool/files/y", b"\x7fELF")
    os.symlink("x", tmp_path / "app-misc/tool/files/z")
    assert [finding.place.path for finding in grove.found()] == ["app-misc/tool/files/x"]

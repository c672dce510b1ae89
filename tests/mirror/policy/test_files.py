"""Binaries in a tree, in any dress, and text that only looks like one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
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


def array(numbers: Iterable[object], *, begin: str = "static const u8 x[] = {") -> str:
    words = [f"{number}," for number in numbers]
    rows = (" ".join(words[at : at + 12]) for at in range(0, len(words), 12))
    return f"{begin}\n" + "".join(f"\t{row}\n" for row in rows) + "};\n"


def escapes(form: str, content: bytes = BLOB, *, begin: str = '"', end: str = '"') -> str:
    rows = (content[at : at + 16] for at in range(0, len(content), 16))
    return "".join(f"{begin}{''.join(form.format(b) for b in row)}{end}\n" for row in rows)


def parser_table(count: int) -> list[int]:
    """Write numbers as a parser's table has them: small ones mostly, with runs of the same."""
    chance = random.Random(2)
    return [int(chance.expovariate(1 / 30)) % 180 for _ in range(count)]


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
        array(BLOB),
        array((b - 256 if b > 127 else b for b in BLOB), begin="const signed char x[4096] = {"),
        array((f"{b}u" for b in BLOB), begin="x = ["),
        array((f"0{b:03o}" for b in BLOB), begin="{"),
        array(f"0{b:o}" if b > 7 else b for b in BLOB),
        "const u8 x[] = {" + lines(",".join(map(str, BLOB)), 4 * 4096) + "};\n",
        '{"x": [' + ", ".join(map(str, BLOB)) + "]}\n",
        escapes("\\{:03o}"),
        escapes("\\0{:03o}", begin="printf '", end="' >> x"[:1]),
        escapes("\\x{:02x}", begin="  $'", end="'"),
        'x="' + "".join(f"\\{b:03o}" for b in BLOB) + '"\n',
        lines(base64.b32encode(BLOB).decode(), 76),
        lines(base64.b32encode(BLOB).decode(), 64),
        lines(base64.b64encode(BLOB[:300] + b"\0" * 300 + BLOB[:300]).decode(), 76),
        lines(base64.b64encode(BLOB[:300] + b"\x49\x24\x92" * 99 + BLOB[:300]).decode(), 76),
        lines(base64.b32encode(b"\x7fELF" + b"\0" * 600 + BLOB).decode(), 80),
        lines(base64.b32encode(BLOB).decode().lower(), 64),
        base64.b32encode(BLOB).decode() + "\n",
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
        # tables of a program
        array(range(256)) + array(random.Random(3).sample(range(256), 256)),
        array(f"0x{n:02x}" for _ in range(4) for n in random.Random(4).sample(range(256), 256)),
        array(random.Random(5).sample(range(256), 256) * 4),
        array(int(255 * (n / 2047) ** 0.45) for n in range(2048)),
        array(f"0x{int(127 + 127 * math.sin(n / 40)):02x}" for n in range(2048)),
        array(parser_table(4000)),
        array(n * 7919 % 65521 for n in range(2000)),
        array(n % 10 for n in range(2000)),
        array([0] * 3000),
        array(random.Random(6).choices(range(1000), k=2000)),
        array(random.Random(7).choices(range(-300, 256), k=2000)),
        "".join(f"{n}, {n * 3 % 256}, {n * 5 % 256}, {n * 11 % 256}\n" for n in range(100)),
        # keys and certificates
        array((f"0x{b:02x}" for b in BLOB[:513]), begin="static const u8 modulus[] = {"),
        array(f"0x{b:02x}" for b in b"\x30\x82" + (1500).to_bytes(2, "big") + BLOB[:1500]),
        array(b"\x30\x82" + (1500).to_bytes(2, "big") + BLOB[:1500]),
        lines(base64.b64encode(b"\x30\x82\x05\xdc" + BLOB[:1500]).decode(), 64),
        base64.b64encode(b"\x30\x82\x0b\xb8" + BLOB[:3000]).decode() + "\n",
        lines((b"\x30\x82\x05\xdc" + BLOB[:1500]).hex(), 60),
        # text, lists, patches
        array(b"readable words and more of them\n" * 60),
        escapes("\\{:03o}", "Grüße aus der Ferne, ".encode() * 60, begin='msgstr "'),
        escapes("\\x{:02x}", "日本語の文章です。".encode() * 60),
        lines(base64.b32encode(b"readable words and more of them\n" * 40).decode(), 64),
        "".join(f"{base64.b32encode(BLOB[n : n + 32]).decode()}\n" for n in range(99)),
        "".join(f"{base64.b32encode(BLOB[n : n + 32]).decode()[:52]}\n" for n in range(99)),
        "".join(f"{base64.b32encode(BLOB[n : n + 35]).decode().lower()}\n" for n in range(99)),
        "".join(f"{base64.b64encode(BLOB[n : n + 64]).decode()}\n" for n in range(99)),
        "".join(f"{base64.b32encode(BLOB[n : n + 64]).decode()}\n" for n in range(99)),
        lines("ACDEFGHIKLMNPQRSTVWY" * 300, 80),
        "".join(f"+{line}\n" for line in array(BLOB).splitlines()),
        "".join(f"+{line}\n" for line in escapes("\\{:03o}").splitlines()),
        "".join(f"192, 168, {n % 8}, {n % 256}, 255\n" for n in range(60)),
        "10.1038, 20.5, 30.25, 40.125, 50.0625\n" * 300,
        "1, 2, 3, 4, 5, 600, 7, 8\n" * 300,
        "/a/long/path/that/goes/on/and/on/for/more/than/forty/characters\n" * 40,
    ],
)
def test_text_with_digits_is_no_binary(tmp_path: Path, text: str) -> None:
    grove = Grove(tmp_path)
    grove.write("app-misc/tool/files/x.txt", text)
    assert grove.rules() == []


DRESSES: dict[str, Callable[[bytes], str]] = {
    "hexadecimal array": lambda content: array(f"0x{b:02x}" for b in content),
    "decimal array": array,
    "octal array": lambda content: array(f"0{b:03o}" for b in content),
    "hexadecimal escapes": lambda content: escapes("\\x{:02x}", content),
    "octal escapes": lambda content: escapes("\\{:03o}", content),
    "hexadecimal": lambda content: lines(content.hex(), 72),
    "base32": lambda content: lines(base64.b32encode(content).decode(), 72),
    "base64": lambda content: lines(base64.b64encode(content).decode(), 72),
}


@pytest.mark.parametrize("dress", DRESSES)
@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1100, 4000), st.sampled_from(["", "int x;\n" * 9]))
def test_blobs_are_found_in_any_dress_where_they_begin(
    dress: str, seed: int, size: int, before: str
) -> None:
    found = encoded_in((before + DRESSES[dress](random.Random(seed).randbytes(size))).encode())
    assert found is not None
    assert found.line - before.count("\n") in (1, 2)


@pytest.mark.parametrize("dress", DRESSES)
@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 512))
def test_what_is_as_short_as_a_key_is_none(dress: str, seed: int, size: int) -> None:
    assert encoded_in(DRESSES[dress](random.Random(seed).randbytes(size)).encode()) is None


@pytest.mark.parametrize("dress", DRESSES)
@settings(max_examples=20)
@given(st.text(min_size=700, max_size=2000))
def test_text_in_digits_is_text(dress: str, text: str) -> None:
    readable = "".join(one for one in text if one.isprintable()) or "text"
    content = (readable * (1000 // len(readable) + 1)).encode()
    assert encoded_in(DRESSES[dress](content).encode()) is None


@given(st.binary(max_size=3000))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    assert binary_kind(content) is None or content
    assert encoded_in(content) is None or len(content) >= 512


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "0x1 ",
        "00 ",
        " ",
        "\\x00",
        "0x00,",
        "abc\t",
        "A",
        "M",
        "0x",
        "1,",
        "1, ",
        "[1,1,1,1,",
        "\\000",
    ]
    + ["[", "{1,", "x[1", "-1,", "a2"],
)
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

"""Compute what differs between two contents, worded for people, without any secret."""

from __future__ import annotations

import difflib
import hashlib

from crosprov.secrets import vault

HIDDEN = "(hidden: this file holds a secret)"
_LONGEST = 64 * 1024  # characters of a diff; a longer one helps nobody


def text_of(content: bytes | None) -> str | None:
    """Give content as text, None when it is not text (or is not known)."""
    if content is None or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def unified(before: bytes, after: bytes) -> str | None:
    """Give the unified diff of two texts, None when one of them is not text.

    `after` may hold tokens of secrets. Then what leaves the file may be an older secret, so
    lines that go are not shown.
    """
    old, new = text_of(before), text_of(after)
    if old is None or new is None:
        return None
    secret = bool(vault.tokens_in(new))
    if secret:
        old, new = vault.mask(old), vault.name(new)
    lines = _diff(_lines(old), _lines(new))
    if secret:
        lines = [_hide(line) for line in lines]
    text = "\n".join(lines)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "\n… (the diff is longer; not all of it is shown)"
    return text


def summary(content: bytes | None, sha256: str, size: int) -> str:
    """Word content that is not shown: its size and the beginning of its digest."""
    if content is not None and vault.tokens_in(content.decode("utf-8", "replace")):
        return f"{size} bytes (holds a secret)"
    return f"{size} bytes, sha256 {sha256[:12]}"


def sha256_of(content: bytes) -> str:
    """Digest content as it will stand on the host, secrets in place of their tokens."""
    return hashlib.sha256(vault.reveal(content)).hexdigest()


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]


def _diff(old: list[str], new: list[str]) -> list[str]:
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))
    return lines[2:]  # the two lines of file names say nothing here


def _hide(line: str) -> str:
    return f"-{HIDDEN}" if line.startswith("-") else f" {HIDDEN}" if line[:1] == " " else line

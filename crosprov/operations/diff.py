"""Compute what differs between two contents, worded for people, without any secret."""

from __future__ import annotations

import difflib
import hashlib

from crosprov.secrets import vault

HIDDEN = "(hidden: this file holds a secret)"
PRIVATE = "(hidden: not everybody may read this file)"
_LONGEST = 64 * 1024  # characters of a diff; a longer one helps nobody


def text_of(content: bytes | None) -> str | None:
    """Give content as text, None when it is not text (or is not known)."""
    if content is None or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def unified(before: bytes, after: bytes, *, private: bool = False) -> str | None:
    """Give the unified diff of two texts, None when one of them is not text.

    `after` may hold tokens of secrets. Then what leaves the file may be an older secret, so
    lines that were there are not shown, and neither are those of a file that was `private`.
    """
    old, new = text_of(before), text_of(after)
    if old is None or new is None:
        return None
    hidden = HIDDEN if vault.tokens_in(new) else PRIVATE if private else None
    if hidden:
        old, new = vault.mask(old), vault.name(new)
    lines = _diff(_lines(old), _lines(new))
    if hidden:
        were = frozenset(old.split("\n"))
        lines = [_hide(line, were, hidden) for line in lines]
    text = "\n".join(lines)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "\n… (the diff is longer; not all of it is shown)"
    return text


def holds_secret(content: bytes) -> bool:
    """Tell whether the token of a secret stands in a content."""
    return bool(vault.tokens_in(content.decode("utf-8", "replace")))


def summary(content: bytes | None, sha256: str, size: int, *, private: bool = False) -> str:
    """Word content that is not shown: its size and the beginning of its digest."""
    if content is not None and holds_secret(content):
        return f"{size} bytes (holds a secret)"
    if private:  # a digest would tell when a guess is right
        return f"{size} bytes"
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


def _hide(line: str, were: frozenset[str], hidden: str) -> str:
    """Hide a line that was in the file; one that is added may have stood elsewhere in it."""
    mark, text = line[:1], line[1:].partition("\n")[0]
    known = mark in ("-", " ") or (mark == "+" and text in were and text)
    return f"{mark}{hidden}" if known else line

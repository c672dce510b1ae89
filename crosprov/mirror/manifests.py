"""Manifests: which files a package needs, how long they are, and what their content is.

The grammar is of GLEP 44 and GLEP 74. Where the programs of Gentoo disagree about a line, or
accept what could harm a mirror, the line is refused here, with its number and a sentence:

| line | what becomes of it |
| --- | --- |
| a name with `/`, `\\` or a control character, `.` in front, too long, `layout.conf` | refused |
| a size that is not a plain number, an odd number of words, no hash | refused |
| a digest of the wrong length for its algorithm, or not hexadecimal; an algorithm twice | refused |
| the same name twice, other content | the later one refused |
| the same name twice, same content | taken once |
| an unknown tag, a byte order mark, NUL, text that is not UTF-8 | refused |
| text outside of a clear-signed part | refused |
| upper-case digits, lower-case names of algorithms | taken, written the usual way |
| CR LF, empty lines, lines of the other tags of GLEP 74 | passed over |

One refused line makes the whole Manifest one that vouches for nothing: what else it says may
be as wrong, and a mirror never takes back what it has published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crosprov.mirror.digests import LENGTHS
from crosprov.mirror.model import Archive, Place, Remark

LARGEST = 64 << 20  # bytes of a Manifest; the largest known one has 1 MB
LONGEST_NAME = 255  # bytes, what a file system of Linux can hold

_OTHERS = frozenset(
    "AUX EBUILD MISC MANIFEST DATA IGNORE OPTIONAL TIMESTAMP".split()  # GLEP 44 and GLEP 74
)
_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"

# The line that nearly every Manifest of today is made of, judged at the speed of C.
_USUAL = re.compile(
    r"DIST ([A-Za-z0-9_][A-Za-z0-9_.+%@!,()=~-]{0,254}) ([0-9]{1,18})"
    r" BLAKE2B ([0-9a-f]{128}) SHA512 ([0-9a-f]{128})",
    re.ASCII,
)
_SIZE = re.compile(r"[0-9]{1,18}", re.ASCII)
_DIGEST = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_ALGORITHM = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_CONFLICT = frozenset({"<" * 7, "=" * 7, ">" * 7, "|" * 7})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Hold what a Manifest says: its archives and their lines by name, or why it cannot be read."""

    path: str
    archives: Mapping[str, Archive]
    lines: Mapping[str, int]
    remarks: tuple[Remark, ...] = ()
    signed: bool = False

    @property
    def sound(self) -> bool:
        """Tell whether every line could be understood."""
        return not self.remarks

    def place_of(self, name: str) -> Place:
        """Name the line that vouches for an archive."""
        return Place(self.path, self.lines[name])


class _Bad(Exception):
    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


def read_manifest(content: bytes, path: str, known: dict[str, Archive] | None = None) -> Manifest:
    """Read a Manifest's bytes; `path` is how its places name it. Any bytes give an answer.

    `known` holds lines that were read before: packages share many, and two thirds of a large
    tree's lines are such.
    """
    try:
        text = _text_of(content)
    except _Bad as bad:
        return Manifest(path, {}, {}, (_remark(bad, Place(path)),))
    usual = _usual(text, {} if known is None else known)
    if usual is not None:
        return Manifest(path, usual, dict(zip(usual, range(1, len(usual) + 1), strict=True)))
    return _read_lines(text, path)


def _text_of(content: bytes) -> str:
    if len(content) > LARGEST:
        raise _Bad(f"a Manifest of {len(content)} bytes is longer than any true one")
    if content.startswith(b"\xef\xbb\xbf"):
        raise _Bad("the Manifest begins with a byte order mark", "save it as UTF-8 without one")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Bad(f"the Manifest is not UTF-8 text (line {line})") from None


def _usual(text: str, known: dict[str, Archive]) -> dict[str, Archive] | None:
    """Read a Manifest of usual lines only, each name once; None for any other."""
    lines = text.split("\n")
    if lines.pop():
        return None
    archives = {}
    for line in lines:
        archive = known.get(line)
        if archive is None:
            match = _USUAL.fullmatch(line)
            if match is None or match[1] == "layout.conf":
                return None
            name, size, blake, sha = match.groups()
            archive = known[line] = Archive(name, int(size), {"BLAKE2B": blake, "SHA512": sha})
        archives[archive.name] = archive
    return archives if len(archives) == len(lines) else None


def _read_lines(text: str, path: str) -> Manifest:
    archives: dict[str, Archive] = {}
    places: dict[str, int] = {}
    remarks: list[Remark] = []
    signed = _SIGNED in text
    try:
        lines = list(_signed_lines(text) if signed else enumerate(text.split("\n"), 1))
    except _Bad as bad:
        return Manifest(path, {}, {}, (_remark(bad, Place(path)),), signed)
    for number, line in lines:
        try:
            archive = read_line(line)
            if archive is not None:
                _check_first(archive, archives, places)
                archives[archive.name] = archive
                places.setdefault(archive.name, number)
        except _Bad as bad:
            remarks.append(_remark(bad, Place(path, number)))
    if remarks:
        return Manifest(path, {}, {}, tuple(remarks), signed)
    return Manifest(path, archives, places, (), signed)


def read_line(line: str) -> Archive | None:
    """Read one line; None for an empty one and for the tags that speak of other things."""
    words = line.split()
    if not words:
        return None
    if words[0] in _OTHERS:
        return None
    if words[0] != "DIST":
        hint = "it looks like an unresolved merge" if words[0][:7] in _CONFLICT else None
        raise _Bad(f"{_shown(words[0])} is no tag of a Manifest", hint)
    if len(words) < 3:
        raise _Bad("the entry has no size" if len(words) == 2 else "the entry has no name")
    name = read_name(words[1])
    if not _SIZE.fullmatch(words[2]):
        raise _Bad(f"{_shown(words[2])} is not a size in bytes")
    return Archive(name, int(words[2]), _hashes(name, words[3:]))


def read_name(name: str) -> str:
    """Check a name that a file may have on a mirror and give it back."""
    problem = problem_of_name(name)
    if problem:
        raise _Bad(f"{_shown(name)} cannot be the name of a file on a mirror: {problem}")
    return name


def problem_of_name(name: str) -> str | None:
    """Say why no file of a mirror can have this name; None when one can."""
    if "/" in name:
        return "it leads to another folder"
    if not name or name.startswith("."):
        return "it begins with a dot" if name else "it is empty"
    if "\\" in name:
        return "some programs read the backslash as an escape and others as itself"
    if _CONTROL.search(name):
        return "it has a control character"
    if len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    if name == "layout.conf":
        return "mirrors keep their own layout under it"
    return None


def _hashes(name: str, words: list[str]) -> dict[str, str]:
    if not words:
        raise _Bad(f"the entry of {_shown(name)} has no hash", "write the Manifest anew")
    if len(words) % 2:
        raise _Bad(f"{_shown(words[-1])} has no digest: names and digests go in pairs")
    hashes: dict[str, str] = {}
    for algorithm, digest in zip(words[::2], words[1::2], strict=True):
        if not _ALGORITHM.fullmatch(algorithm):
            raise _Bad(f"{_shown(algorithm)} is no name of a hash")
        if not _DIGEST.fullmatch(digest):
            raise _Bad(f"{_shown(digest)} is no digest of {algorithm}: it is not hexadecimal")
        algorithm = algorithm.upper()
        length = LENGTHS.get(algorithm, len(digest))
        if len(digest) != length:
            raise _Bad(f"a digest of {algorithm} has {length} digits, this one {len(digest)}")
        if algorithm in hashes:
            raise _Bad(f"{algorithm} is given twice for {_shown(name)}")
        hashes[algorithm] = digest.lower()
    return hashes


def _check_first(
    archive: Archive, archives: Mapping[str, Archive], places: Mapping[str, int]
) -> None:
    earlier = archives.get(archive.name)
    if earlier is not None and earlier != archive:
        line = places[archive.name]
        raise _Bad(f"{archive.name!r} is given again, with another content than in line {line}")


def _signed_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of the signed part, numbered as in the file (RFC 4880, section 7)."""
    state = "before"
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if state in ("before", "after"):
            if line == _SIGNED and state == "before":
                state = "headers"
            elif line.strip():
                raise _Bad(f"line {number} stands outside of the signed text")
        elif state == "headers":
            state = "headers" if line.strip() else "signed"
        elif state == "signed":
            if line == _SIGNATURE:
                state = "signature"
            else:
                yield number, line.removeprefix("- ")
        elif line == _END:
            state = "after"
    if state != "after":
        raise _Bad("the signed text has no end", "the file was cut short; fetch the tree again")


def _shown(word: str) -> str:
    """Quote a word of a file that may hold anything."""
    clipped = word if len(word) <= 80 else f"{word[:77]}..."
    return repr(clipped)


def _remark(bad: _Bad, place: Place) -> Remark:
    return Remark("bad Manifest", place, bad.sentence, bad.hint)

"""Unpacking: ebuilds that run an unpacker themselves, or give `unpack` a full path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.shell import Command, Word
from crosprov.mirror.policy.subjects import Script

_SUSPECT = re.compile(r"(?<![\w.+@-])(?:g?tar|bsdtar|unzip|7z[arz]?|unrar|rar|cpio|unpack)[\s\\]")
_BEFORE = frozenset(
    "nonfatal edo edob env sudo command builtin exec nice ionice time try run xargs eval".split()
)
_TAKES_VALUE = frozenset("bCfFgHIKLNTVX")  # options of tar whose value follows
_LISTING = frozenset("ltvZ")  # modes of unzip that unpack nothing
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?:\[[^]]*\])?\}|([A-Za-z_]\w*))", re.ASCII)
# Variables of an ebuild that hold a full path (PMS, section 11.1, and eclasses in wide use).
_FULL = frozenset(
    "BROOT BUILD_DIR D DISTDIR ED EPREFIX EROOT ESYSROOT FILESDIR HOME PORTDIR PWD ROOT S SYSROOT"
    " T WORKDIR".split()
)


def find_unpacking(script: Script) -> Iterator[Finding]:
    """Find both kinds of breach in the code of an ebuild or an eclass."""
    if not _SUSPECT.search(script.text):
        return
    full = _full_variables(script)
    for command in script.commands:
        words = own_words(command)
        if not words:
            continue
        place = Place(script.path, words[0].line)
        if is_unpacker(words) and not _copies(command):
            yield rules.SELF_UNPACK.at(place, words[0].plain.rpartition("/")[2])
        if words[0].plain == "unpack":
            for word in words[1:]:
                if _is_full(word.text, full):
                    yield rules.UNPACK_PATH.at(Place(script.path, word.line), word.text)


def own_words(command: Command) -> list[Word]:
    """Give the words from the program on: without assignments, and without what starts it."""
    words = command.words
    at = 0
    while at < len(words):
        plain = words[at].plain
        if plain == "find":
            return _executed(words[at:])
        if not (plain in _BEFORE or re.match(r"\w+\+?=", plain) or (at and plain[:1] == "-")):
            return words[at:]
        at += 1
    return []


def _executed(words: list[Word]) -> list[Word]:
    """Give what `find` starts for each file."""
    for at, word in enumerate(words):
        if word.plain in ("-exec", "-execdir", "-ok"):
            return words[at + 1 :]
    return []


def is_unpacker(words: list[Word]) -> bool:
    """Tell whether a program takes an archive apart; one that lists or packs does not."""
    program = words[0].plain.rpartition("/")[2]
    arguments = [word.plain for word in words[1:]]
    if program in ("tar", "gtar", "bsdtar"):
        return _tar_extracts(arguments)
    if program == "unzip":
        return not any(a[:1] == "-" and _LISTING & set(a) for a in arguments)
    if program in ("7z", "7za", "7zr", "7zz", "unrar", "rar"):
        return arguments[:1] in (["x"], ["e"])
    if program == "cpio":
        return any(a == "--extract" or re.fullmatch(r"-\w*i\w*", a) for a in arguments)
    return False


def _tar_extracts(arguments: list[str]) -> bool:
    if arguments and re.fullmatch(r"[A-Za-z]+", arguments[0]) and "x" in arguments[0]:
        return True
    for argument in arguments:
        if argument in ("--extract", "--get"):
            return True
        if re.match(r"-[A-Za-z]", argument):
            for letter in argument[1:]:
                if letter == "x":
                    return True
                if letter in _TAKES_VALUE:
                    break
    return False


def _copies(command: Command) -> bool:
    """Tell whether it only unpacks what another tar packs into the pipe: a copy of a folder."""
    feeder = command.feeder
    if feeder is None:
        return False
    words = own_words(feeder)
    if not words or words[0].plain.rpartition("/")[2] not in ("tar", "gtar", "bsdtar"):
        return False
    arguments = [word.plain for word in words[1:]]
    return any(
        a in ("--create", "-") or re.fullmatch(r"-?[A-Za-bd-z]*c[A-Za-z]*", a) for a in arguments
    ) and not _tar_extracts(arguments)


def _full_variables(script: Script) -> frozenset[str]:
    """Name the variables that hold a full path: those known, and those assigned from one."""
    full = set(_FULL)
    pairs = [(a.name, a.value) for a in script.assignments]
    for command in script.commands:
        words = command.words
        if words[0].text == "for" and len(words) > 3 and words[2].text == "in":
            pairs.extend((words[1].text, word.text) for word in words[3:])
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    for _ in range(4):  # each turn follows one more assignment
        for name, given in values.items():
            if name not in full and all(_is_full(value, frozenset(full)) for value in given):
                full.add(name)
    return frozenset(full)


def _is_full(text: str, full: frozenset[str]) -> bool:
    """Tell whether a word or a value begins with a full path."""
    bare = text.lstrip("\"'( \t\n")
    if bare.startswith("/"):
        return True
    found = _VARIABLE.match(bare)
    if not found or (found[1] or found[2]) not in full:
        return False
    after = bare[found.end() :].lstrip("\"'")
    # ROOT and its kin may be empty, and a path follows them in any case; S and the like stand
    # for a folder, so that a path below them is full as well.
    return not after or after[0] in "/ \t\n)"

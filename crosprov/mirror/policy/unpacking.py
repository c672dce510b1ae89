"""Unpacking: ebuilds that run an unpacker themselves, or give `unpack` a full path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.running import Run, Runs
from crosprov.mirror.policy.shell import Word, commands_of
from crosprov.mirror.policy.subjects import Script
from crosprov.mirror.policy.unpackers import TARS, tar_packs, unpacks

_SUSPECT = re.compile(
    r"(?<![\w.+@])(?:g?tar|bsdtar|unzip|7z[arz]?|(?:un)?rar|(?:bsd)?cpio|rpm2cpio|rpm2tar|jar|ar"
    r"|dpkg(?:-deb)?|unpack)(?![\w.+@-])|tc-get(?:TAR|AR)\b",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"\$(?:\{([A-Za-z_]\w*)(?:\[[^]]*\])?(?:%%?[^{}]*)?\}|([A-Za-z_]\w*))", re.ASCII
)
_SUBSTITUTED = re.compile(r"\$\(((?:[^()]|\([^()]*\))*+)\)|`([^`]*)`")
_FILTERS = frozenset("awk grep head sed sort tail tr uniq".split())
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
    runs = Runs(script.assignments)
    started = [(command, run) for command in script.commands for run in runs.of(command)]
    unpacking = [
        (command, run)
        for command, run in started
        if unpacks(run.program, run.arguments) and not _copies(run, runs)
    ]
    fed = {id(run.feeder) for _, run in unpacking}
    for command, run in unpacking:
        if id(command) not in fed:  # what another one unpacks is one breach with it
            yield rules.SELF_UNPACK.at(Place(script.path, run.words[0].line), run.program)
    for _, run in started:
        if run.words[0].plain == "unpack":
            for word in run.words[1:]:
                if _is_full(word.text, full):
                    yield rules.UNPACK_PATH.at(Place(script.path, word.line), word.text)


def _copies(run: Run, runs: Runs) -> bool:
    """Tell whether it only unpacks what another tar packs into the pipe: a copy of a folder."""
    return run.feeder is not None and any(
        one.program in TARS and tar_packs(one.arguments) for one in runs.of(run.feeder)
    )


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
    if bare.startswith("/") or re.match(r"\(?\s*~(?:/|$)", text):
        return True
    substituted = _SUBSTITUTED.match(bare)
    if substituted:
        return _gives_full(substituted[1] or substituted[2] or "", full)
    found = _VARIABLE.match(bare)
    if not found or (found[1] or found[2]) not in full:
        return False
    after = bare[found.end() :].lstrip("\"'")
    # ROOT and its kin may be empty, and a path follows them in any case; S and the like stand
    # for a folder, so that a path below them is full as well.
    return not after or after[0] in "/ \t\n)"


def _gives_full(text: str, full: frozenset[str]) -> bool:
    """Tell whether commands within `$(…)` print a full path, by the words that they have."""
    commands = commands_of(text)
    if not commands:
        return False
    command = commands[-1]
    while command.feeder is not None and command.words[0].plain in _FILTERS:
        command = command.feeder
    program, *words = command.words or [Word("", 1)]
    plain = [word.plain for word in words]
    if program.plain in ("pwd", "realpath"):
        return not any(word.startswith("--relative") for word in plain)
    if program.plain == "readlink":
        return any(re.fullmatch(r"-[a-z]*[efm][a-z]*", word) for word in plain)
    if program.plain == "ls":  # of a folder it prints names, of a pattern what fits it
        words = [word for word in words if re.search(r"[*?\[]", word.text)]
    return program.plain in ("echo", "find", "ls", "printf") and any(
        _is_full(word.text, full) for word in words
    )

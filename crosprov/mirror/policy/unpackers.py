"""Unpackers: the programs that take archives apart, and the words by which they do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

# Options whose value follows, so that what stands behind them in a word is no option.
_TAR_VALUES = frozenset("bCfFgHIKLNTVX")
_UNZIP_LISTS = frozenset("ltvZ")  # modes of unzip that unpack nothing
_DPKG = frozenset(
    "-x -X -e -R --extract --vextract --control --raw-extract --fsys-tarfile --ctrl-tarfile".split()
)

TARS = frozenset("tar gtar bsdtar".split())


def unpacks(program: str, arguments: Sequence[str]) -> bool:
    """Tell whether a program takes an archive apart by these words; to list or pack is none."""
    judge = _JUDGES.get(program)
    return judge is not None and judge(arguments)


def tar_extracts(arguments: Sequence[str]) -> bool:
    """Tell whether tar is told to extract, by old options, short ones or long ones."""
    if arguments and re.fullmatch(r"[A-Za-z]+", arguments[0]) and "x" in arguments[0]:
        return True
    for argument in arguments:
        if argument in ("--extract", "--get"):
            return True
        if re.match(r"-[A-Za-z]", argument):
            for letter in argument[1:]:
                if letter == "x":
                    return True
                if letter in _TAR_VALUES:
                    break
    return False


def tar_packs(arguments: Sequence[str]) -> bool:
    """Tell whether tar is told to make an archive, or its words do not show what it does."""
    return any(
        a in ("--create", "-") or re.fullmatch(r"-?[A-Za-bd-z]*c[A-Za-z]*", a) for a in arguments
    ) and not tar_extracts(arguments)


def _unzip_extracts(arguments: Sequence[str]) -> bool:
    return not any(a[:1] == "-" and _UNZIP_LISTS & set(a) for a in arguments)


def _command_extracts(arguments: Sequence[str]) -> bool:
    """Judge programs whose first word without a dash is x or e."""
    return next((a for a in arguments if a[:1] != "-"), "") in ("x", "e")


def _cpio_extracts(arguments: Sequence[str]) -> bool:
    return any(a == "--extract" or re.fullmatch(r"-\w*i\w*", a) for a in arguments)


def _letters_extract(arguments: Sequence[str]) -> bool:
    """Judge programs whose first word holds letters, with x for to extract: ar and jar."""
    first = arguments[0] if arguments else ""
    return first == "--extract" or re.fullmatch(r"-?[a-zA-Z0]*x[a-zA-Z0]*", first) is not None


def _dpkg_extracts(arguments: Sequence[str]) -> bool:
    return any(a in _DPKG for a in arguments)


def _always(arguments: Sequence[str]) -> bool:
    """Judge programs that do nothing else; asked for their version they do not."""
    return not any(a in ("--version", "--help", "-V", "-h") for a in arguments)


_JUDGES: Mapping[str, Callable[[Sequence[str]], bool]] = {
    **dict.fromkeys(TARS, tar_extracts),
    **dict.fromkeys(("cpio", "bsdcpio"), _cpio_extracts),
    **dict.fromkeys("7z 7za 7zr 7zz unrar rar".split(), _command_extracts),
    **dict.fromkeys(("dpkg", "dpkg-deb"), _dpkg_extracts),
    **dict.fromkeys(("rpm2cpio", "rpm2tar"), _always),
    **dict.fromkeys(("ar", "jar"), _letters_extract),
    "unzip": _unzip_extracts,
}

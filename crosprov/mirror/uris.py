"""SRC_URI and RESTRICT: which file comes from where, and what mirrors may do with it.

A mirror serves every machine, so each USE conditional counts as true and each group as wanted
(PMS, section 8.2). `tests/mirror/test_uris.py` holds this reading against pkgcore's, which
gives the same for whatever both take, but no reason for what it refuses; and it takes longer
than there is for a large tree, of which a sync with nothing to do wants the names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.model import Uri

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_CONDITION = re.compile(r"!?[A-Za-z0-9][A-Za-z0-9+_@-]*\?", re.ASCII)
_STRUCTURE = frozenset({"(", ")", "||", "??", "^^"})


class BadUris(ValueError):
    """Say in one sentence why a value of SRC_URI or RESTRICT cannot be read."""


class Source(NamedTuple):
    """Join the name of a file with where it comes from.

    `prefix` is `mirror` or `fetch` for EAPI 8's `mirror+` and `fetch+`, which lift a
    restriction for this one, and empty otherwise; `uri` stands without it.
    """

    name: str
    uri: str
    prefix: str = ""

    @property
    def scheme(self) -> str:
        """Name the scheme in lower case; empty for a bare file name, which people fetch."""
        found = _SCHEME.match(self.uri)
        return found[0][:-3].lower() if found else ""


def words_of(value: str) -> list[str]:
    """Take the words of a value out of their conditionals and groups; raises BadUris."""
    words = value.split()
    plain = _STRUCTURE.isdisjoint(words) and not ("?" in value and any(map(_is_condition, words)))
    return words if plain else list(_flattened(words))


def _is_condition(word: str) -> bool:
    return word.endswith("?") and _CONDITION.fullmatch(word) is not None


def _flattened(words: list[str]) -> Iterator[str]:
    depth = 0
    condition = False
    for word in words:
        if condition and word != "(":
            raise BadUris(f"{word!r} stands where a USE conditional needs its group in brackets")
        condition = False
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
            if depth < 0:
                raise BadUris("a bracket is closed that was never opened")
        elif _is_condition(word):
            condition = True
        elif word in _STRUCTURE:
            raise BadUris(f"{word!r} has no meaning in it")
        else:
            yield word
    if depth or condition:
        raise BadUris("a bracket is opened that is never closed")


def names_of(src_uri: str, eapi: str) -> list[str]:
    """Read which files SRC_URI names, each time it does; raises BadUris with a sentence."""
    words = words_of(src_uri)
    names = _names(words)
    if names is None or "mirror+" in src_uri or "fetch+" in src_uri:
        return [source.name for source in _sources(words, eapi_has_prefixes(eapi))]
    return names


def _names(words: list[str]) -> list[str] | None:
    """Take the names out of words that are as they should be; None when any is not."""
    names: list[str] = []
    arrow = fixed = False
    for word in words:
        if arrow:
            names[-1] = word
            arrow, fixed = False, True
        elif word == "->":
            if fixed or not names:
                return None
            arrow = True
        else:
            names.append(word.rpartition("/")[2])
            fixed = False
    return None if arrow or "" in names else names


def sources_of(src_uri: str, eapi: str) -> list[Source]:
    """Read SRC_URI, both `URI` and `URI -> name`; raises BadUris with a sentence."""
    return list(_sources(words_of(src_uri), eapi_has_prefixes(eapi)))


def _sources(words: list[str], prefixes: bool) -> Iterator[Source]:
    at, end = 0, len(words)
    while at < end:
        uri = words[at]
        prefix = ""
        if prefixes and uri.startswith(("mirror+", "fetch+")):
            prefix, _, uri = uri.partition("+")
        if at + 1 < end and words[at + 1] == "->":
            if at + 2 == end:
                raise BadUris(f"{uri!r} is to be renamed, and no name follows")
            yield Source(words[at + 2], uri, prefix)
            at += 3
        else:
            yield _plain(uri, prefix)
            at += 1


def _plain(uri: str, prefix: str = "") -> Source:
    if uri == "->":
        raise BadUris("'->' stands without a URI before it")
    name = uri.rpartition("/")[2]
    if not name:
        raise BadUris(f"{uri!r} names a folder: it needs '-> name'")
    return Source(name, uri, prefix)


def eapi_has_prefixes(eapi: str) -> bool:
    """Tell whether `mirror+` and `fetch+` mean something: from EAPI 8 on."""
    return not (eapi.isdecimal() and int(eapi) < 8)


def restrictions_of(restrict: str) -> frozenset[str]:
    """Read RESTRICT; `nomirror` and `nofetch`, as old ebuilds wrote them, count as what they mean.

    Raises BadUris.
    """
    older = {"nomirror": "mirror", "nofetch": "fetch"}
    return frozenset(older.get(word, word) for word in words_of(restrict))


def mirror_of(uri: str) -> str | None:
    """Name the mirror that a `mirror://` URI goes through; None for any other URI."""
    if not uri.startswith("mirror://"):
        return None
    return uri.removeprefix("mirror://").partition("/")[0]


def expanded(
    source: Source, restrictions: frozenset[str], mirrors: Mapping[str, tuple[str, ...]]
) -> tuple[Uri, ...]:
    """Make of a source what can be asked for: prefixes judged, `mirror://` looked up.

    Nothing comes of a mirror that `mirrors` does not know.
    """
    by_hand = "fetch" in restrictions and not source.prefix
    lifted = source.prefix == "mirror"
    restricted = not lifted and ("mirror" in restrictions or "fetch" in restrictions)
    name = mirror_of(source.uri)
    if name is None:
        return (Uri(source.uri, restricted, by_hand),)
    path = source.uri.removeprefix(f"mirror://{name}").lstrip("/")
    texts = [f"{base.rstrip('/')}/{path}" for base in mirrors.get(name, ())]
    return tuple(Uri(text, restricted, by_hand) for text in texts)


def address(base: str, name: str) -> str:
    """Join a mirror's address with a file's name, quoted where the scheme wants it.

    A name may hold a literal `%2F`, which HTTP has to be asked for as `%252F`; `gs://` and
    folders take names as they are.
    """
    folder = base if base.endswith("/") else f"{base}/"
    quotes = urlsplit(base).scheme.lower() in ("http", "https", "ftp")
    return folder + (quote(name, safe="~!,()@+=") if quotes else name)


def problem_of_source(source: Source) -> str | None:
    """Say why a source cannot be mirrored under its name; None when it can."""
    return problem_of_name(source.name)

"""SRC_URI and RESTRICT: both forms, conditionals, prefixes, `mirror://`, and pkgcore's reading."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pkgcore.ebuild.conditionals import DepSet
from pkgcore.restrictions.boolean import AndRestriction

from crosprov.mirror.model import Uri
from crosprov.mirror.uris import (
    BadUris,
    Source,
    address,
    expanded,
    mirror_of,
    names_of,
    restrictions_of,
    sources_of,
)

SOURCES = {
    "plain": ("https://example.com/foo-1.tar.bz2", [("foo-1.tar.bz2", "")]),
    "renamed": ("https://example.com/foo -> foo-1.tar.bz2", [("foo-1.tar.bz2", "")]),
    "both": (
        "https://example.com/a-1.zip https://example.com/v2 -> b-2.zip",
        [("a-1.zip", ""), ("b-2.zip", "")],
    ),
    "conditional": ("x? ( https://example.com/a-1.zip )", [("a-1.zip", "")]),
    "negated": ("!x? ( y? ( https://example.com/a-1.zip ) )", [("a-1.zip", "")]),
    "bare group": ("( https://example.com/a-1.zip )", [("a-1.zip", "")]),
    "renamed within": ("x? ( https://example.com/v1 -> a-1.zip )", [("a-1.zip", "")]),
    "gs": ("gs://chromeos-localmirror/distfiles/a-1.tbz2", [("a-1.tbz2", "")]),
    "two slashes": ("gs://chromeos-localmirror/distfiles//a-1.tbz2", [("a-1.tbz2", "")]),
    "cipd": ("cipd://infra/tools/cipd/amd64:1.0 -> cipd-1.0.zip", [("cipd-1.0.zip", "")]),
    "no scheme": ("sdk-1.0.zip", [("sdk-1.0.zip", "")]),
    "a query": ("https://example.com/get?f=a-1.zip", [("get?f=a-1.zip", "")]),
    "lifted": ("mirror+https://example.com/a-1.zip", [("a-1.zip", "mirror")]),
    "lifted for people": ("fetch+https://example.com/v1 -> a-1.zip", [("a-1.zip", "fetch")]),
    "a literal %2F": (
        "https://proxy.example.org/x/@v/v1.mod -> github.com%2Fx%2F@v%2Fv1.mod",
        [("github.com%2Fx%2F@v%2Fv1.mod", "")],
    ),
    "nothing": ("", []),
}


@pytest.mark.parametrize(("value", "wanted"), SOURCES.values(), ids=SOURCES)
def test_both_forms_are_read(value: str, wanted: list[tuple[str, str]]) -> None:
    assert [(source.name, source.prefix) for source in sources_of(value, "8")] == wanted
    assert names_of(value, "8") == [name for name, _ in wanted]


def test_prefixes_mean_something_from_eapi_8_on() -> None:
    value = "fetch+https://example.com/a-1.zip"
    assert sources_of(value, "8") == [Source("a-1.zip", "https://example.com/a-1.zip", "fetch")]
    assert sources_of(value, "7") == [Source("a-1.zip", value, "")]


BAD = {
    "no name after": "https://example.com/a ->",
    "no URI before": "-> a-1.zip",
    "a folder": "https://example.com/a/",
    "never closed": "x? ( https://example.com/a-1.zip",
    "never opened": "https://example.com/a-1.zip )",
    "no group": "x? https://example.com/a-1.zip",
    "no group at the end": "https://example.com/a-1.zip x?",
    "alternatives": "|| ( https://example.com/a-1.zip )",
    "bare alternatives": "||",
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("reading", [sources_of, names_of])
def test_what_cannot_be_read_gets_a_sentence(value: str, reading: type) -> None:
    with pytest.raises(BadUris) as caught:
        reading(value, "8")
    assert "\n" not in str(caught.value) and str(caught.value)


RESTRICTED = {
    # RESTRICT, prefix, whether mirrors may not offer it, whether only people may fetch it
    "free": ("", "", False, False),
    "other words": ("strip test", "", False, False),
    "mirror": ("mirror", "", True, False),
    "the older spelling": ("nomirror", "", True, False),
    "fetch": ("fetch", "", True, True),
    "conditional": ("bindist? ( mirror )", "", True, False),
    "mirror lifted": ("mirror", "mirror", False, False),
    "fetch and mirror lifted": ("fetch mirror", "mirror", False, False),
    "fetch lifted": ("fetch", "fetch", True, False),
    "mirror is not lifted by fetch": ("mirror", "fetch", True, False),
}


@pytest.mark.parametrize(
    ("restrict", "prefix", "restricted", "by_hand"), RESTRICTED.values(), ids=RESTRICTED
)
def test_restrictions_and_prefixes(
    restrict: str, prefix: str, restricted: bool, by_hand: bool
) -> None:
    source = Source("a-1.zip", "https://example.com/a-1.zip", prefix)
    assert expanded(source, restrictions_of(restrict), {}) == (
        Uri("https://example.com/a-1.zip", restricted, by_hand),
    )


def test_mirrors_are_looked_up_in_their_order() -> None:
    source = Source("a-1.zip", "mirror://gnu/foo/a-1.zip")
    mirrors = {"gnu": ("https://one.example.com/gnu", "https://two.example.com/")}
    assert [uri.text for uri in expanded(source, frozenset(), mirrors)] == [
        "https://one.example.com/gnu/foo/a-1.zip",
        "https://two.example.com/foo/a-1.zip",
    ]
    assert expanded(source, frozenset(), {}) == ()
    assert (mirror_of(source.uri), mirror_of("https://example.com/")) == ("gnu", None)


ADDRESSES = [
    ("https://example.com/distfiles", "a-1.zip", "https://example.com/distfiles/a-1.zip"),
    ("https://example.com/d/", "x%2Fy v1.mod", "https://example.com/d/x%252Fy%20v1.mod"),
    ("https://example.com/d", "a,b(c)!@+=~.tgz", "https://example.com/d/a,b(c)!@+=~.tgz"),
    ("https://example.com/d", "é#?.tgz", "https://example.com/d/%C3%A9%23%3F.tgz"),
    ("gs://bucket/distfiles", "x%2Fy v1.mod", "gs://bucket/distfiles/x%2Fy v1.mod"),
    ("/srv/distfiles", "x%2Fy.mod", "/srv/distfiles/x%2Fy.mod"),
]


@pytest.mark.parametrize(("base", "name", "wanted"), ADDRESSES)
def test_names_are_quoted_where_the_scheme_wants_it(base: str, name: str, wanted: str) -> None:
    assert address(base, name) == wanted


SCHEMES = [("gs://b/x", "gs"), ("HTTPS://example.com/x", "https"), ("sdk.zip", ""), ("a:b", "")]


@pytest.mark.parametrize(("uri", "wanted"), SCHEMES)
def test_schemes_are_told_apart(uri: str, wanted: str) -> None:
    assert Source("x", uri).scheme == wanted


flags = st.sampled_from(["ssl?", "!test?", "python_targets_python3_11?", "cpu_flags_x86_sse4+?"])
files = st.sampled_from(["a-1.zip", "b%2Fc.mod", "d.tar.gz", "gs://b//e.tbz2", "mirror://g/f"])
plain = files.map(lambda name: [f"https://example.com/{name}"])
renamed = st.tuples(plain, files).map(lambda p: [*p[0], "->", p[1].rpartition("/")[2]])
groups = st.recursive(
    st.one_of(plain, renamed),
    lambda inner: st.tuples(
        st.one_of(st.just(""), flags), st.lists(inner, min_size=1, max_size=3)
    ).map(lambda p: [*([p[0]] if p[0] else []), "(", *(w for part in p[1] for w in part), ")"]),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(groups, max_size=4))
def test_pkgcore_reads_the_same(parts: list[list[str]]) -> None:
    value = " ".join(word for part in parts for word in part)
    theirs: list[tuple[str, str]] = []

    def note(uri: str, name: str | None = None) -> str:
        theirs.append((uri, name or os.path.basename(uri)))
        return uri

    DepSet.parse(
        value,
        str,
        operators={"": AndRestriction},  # without it pkgcore knows no group without a condition
        attr="SRC_URI",
        element_func=note,
        allow_src_uri_file_renames=True,
    )
    ours = sources_of(value, "8")
    assert [(source.uri, source.name) for source in ours] == theirs
    assert names_of(value, "8") == [source.name for source in ours]


words = st.sampled_from(["(", ")", "||", "->", "a?", "!b?", "https://x/y", "z", "mirror+", "x/"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(words, max_size=9).map(" ".join), st.text(max_size=40)))
def test_any_text_gives_sources_or_a_sentence(value: str) -> None:
    try:
        wanted = [source.name for source in sources_of(value, "8")]
    except BadUris as bad:
        assert str(bad)
        with pytest.raises(BadUris):
            names_of(value, "8")
    else:
        assert names_of(value, "8") == wanted

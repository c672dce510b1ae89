"""The configuration of a mirror: read as it was written, and refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror.config import Config, Limits, TreeSource, of_place
from crosprov.mirror.config_file import parse_config, read_config, written
from crosprov.mirror.model import Fault
from crosprov.mirror.presets import PRESETS

words = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
paths = words.map(lambda word: Path("/", word))
trees = st.one_of(
    st.builds(TreeSource, path=paths, public=st.booleans()),
    st.builds(
        TreeSource, git=words, branch=st.none() | words, path=st.none(), public=st.booleans()
    ),
)
limits = st.builds(Limits, st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))
configs = st.builds(
    Config,
    name=words,
    store=words.map("/{}".format) | words.map("gs://{}/x".format),
    kind=st.just("automatic"),
    visibility=st.sampled_from(["public", "private"]),
    upstreams=st.lists(words, max_size=2).map(tuple),
    trees=st.lists(trees, max_size=2).map(tuple),
    source_uris=st.booleans(),
    hashed=st.booleans(),
    limits=limits,
    credentials=st.none() | paths,
    endpoint=st.none() | words,
    reading=st.none() | words,
    state=st.none() | paths,
)


@given(configs)
def test_what_is_written_is_read(config: Config) -> None:
    text = written(config)
    assert parse_config(text, "x") == config
    assert written(parse_config(text, "x")) == text


WRONG: list[tuple[Mapping[str, Any] | str, str]] = [
    ("{", "x:1: this is no JSON"),
    ("[]", "x: the file must be a mapping"),
    ({"store": "/m"}, "x: name is missing"),
    ({"name": "m"}, "x: store is missing"),
    ({"name": "m", "store": "m"}, "store must be an absolute folder or gs://bucket/prefix"),
    ({"upstream": []}, "upstream is no key of a mirror's configuration"),
    ({"limits": {"paralel": 2}}, "limits.paralel is no key"),
    ({"limits": {"parallel": 0}}, "limits.parallel must be a whole number, 1 at least"),
    ({"limits": {"bandwidth": True}}, "limits.bandwidth must be a whole number"),
    ({"kind": "Automatic"}, "kind must be automatic or manual"),
    ({"hashed": "yes"}, "hashed must be true or false"),
    ({"upstreams": "x"}, "upstreams must be a list"),
    ({"upstreams": ["x"]}, "the mirror m is manual, so it has no upstreams"),
    ({"trees": [{"path": "x"}]}, "trees[0].path must be an absolute path"),
    ({"trees": [{}]}, "exactly one of path and git"),
    ({"trees": [{"path": "/x", "git": "y"}]}, "exactly one of path and git"),
    ({"trees": [{"path": "/x", "branch": "y"}]}, "has no branch"),
    ({"trees": ["/x"]}, "trees[0] must be a mapping"),
    ({"state": "x"}, "state must be an absolute path"),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG)
def test_what_is_wrong_is_said(given: Mapping[str, Any] | str, sentence: str) -> None:
    if isinstance(given, str):
        text = given
    elif given.keys() & {"name", "store"}:
        text = json.dumps(given)
    else:
        text = json.dumps({"name": "m", "store": "/m", **given})
    with pytest.raises(Fault) as caught:
        parse_config(text, "x")
    assert sentence in str(caught.value)


@given(st.binary(max_size=60) | st.dictionaries(words, words).map(lambda d: json.dumps(d).encode()))
def test_any_file_gives_a_configuration_or_a_sentence(content: bytes) -> None:
    try:
        text = content.decode()
        assert parse_config(text, "x").name
    except (Fault, UnicodeDecodeError) as error:
        assert str(error)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"nothing\.json: the file cannot be read"):
        read_config(tmp_path / "nothing.json")
    (tmp_path / "latin").write_bytes(b"\xe4")
    with pytest.raises(Fault, match="latin: the file is not UTF-8 text"):
        read_config(tmp_path / "latin")


@pytest.mark.parametrize("name", PRESETS)
def test_documented_mirrors_are_known_by_name_and_by_place(name: str) -> None:
    config = of_place(name)
    assert config == of_place(PRESETS[name].store)
    assert (config.kind, config.visibility) == (PRESETS[name].kind, PRESETS[name].visibility)
    assert config.mirror().wanted_acl == PRESETS[name].acl


def test_a_place_is_a_mirror_and_a_word_is_none(tmp_path: Path) -> None:
    assert of_place(f"{tmp_path}").store == str(tmp_path)
    assert of_place("gs://some-bucket/x/").store == "gs://some-bucket/x"
    other = of_place("gs://chromeos-localmirror-private/other")
    assert (other.visibility, other.mirror().wanted_acl) == ("private", "project-private")
    with pytest.raises(Fault, match="localmiror is no mirror") as caught:
        of_place("chromeos-localmiror")
    assert caught.value.hint == "did you mean chromeos-localmirror?"


def test_the_digest_changes_with_what_is_brought_and_with_nothing_else() -> None:
    one = Config("m", "/m", kind="automatic", trees=(TreeSource(path=Path("/t")),))
    same = replace(one, limits=Limits(bandwidth=1), credentials=Path("/c"), reading="x")
    assert same.digest == one.digest
    others = (
        replace(one, store="/n"),
        replace(one, upstreams=("https://example.com",)),
        replace(one, hashed=True),
        replace(one, source_uris=True),
        replace(one, trees=(TreeSource(path=Path("/t"), public=False),)),
    )
    assert len({one.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_checkouts_of_two_branches_lie_apart() -> None:
    url = "https://git.example.com/overlays/one.git"
    names = {TreeSource(git=url, branch=branch).folder_name for branch in (None, "a", "b")}
    assert len(names) == 3 and all(name.startswith("one-") for name in names)

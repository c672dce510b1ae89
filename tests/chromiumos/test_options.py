"""The options of each generation, and the command line that it gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.chromiumos.options import KEYS, OPTIONS, Value, command_line, era
from crosprov.chromiumos.usage import parse_usage
from tests.chromiumos.generations import BY_YEAR, GENERATIONS, Generation

each_generation = pytest.mark.parametrize("generation", GENERATIONS, ids=lambda each: each.date)

BASE: dict[str, Value] = {"port": 8080, "static_dir": "/srv/static", "production": True}
WORDS = ("--port", "8080", "--static_dir", "/srv/static", "--production")
EXTRAS = {"--logfile": "/l", "--pidfile": "/p", "--portfile": "/q", "--no_such": "x"}


@each_generation
@pytest.mark.parametrize("width", [40, 80, 200])
def test_all_options_are_read_and_nothing_else(generation: Generation, width: int) -> None:
    usage = parse_usage(generation.help(width))
    found = {name: known.takes_value for name, known in usage.options.items()}
    assert found == {**generation.spellings, "-h": False, "--help": False}
    called = {name for name, known in usage.options.items() if known.deprecated}
    assert called == set(filter(None, generation.deprecated.split("/")))


@each_generation
def test_the_table_of_life_spans_agrees_with_each_generation(generation: Generation) -> None:
    there = {
        option.name for option in OPTIONS.values() if option.first <= generation.date <= option.last
    }
    known = {name for name in generation.spellings if name.startswith("--")}
    if "-t" in generation.spellings:
        known.add("--test_image")
    assert known == there
    for option in OPTIONS.values():
        if option.name in generation.spellings:
            assert generation.spellings[option.name] == (option.value is not None)
            assert option.short is None or option.short in generation.spellings


@each_generation
def test_a_generation_is_of_its_own_time(generation: Generation) -> None:
    first, last = era(parse_usage(generation.help()).options)
    assert first <= generation.date <= last


@pytest.mark.parametrize(
    ("year", "more", "words"),
    [
        ("2022", {}, (*WORDS, "--logfile", "/l", "--pidfile", "/p", "--portfile", "/q")),
        ("2014", {}, (*WORDS, "--logfile", "/l", "--pidfile", "/p")),
        ("2018", {"production": False}, (*WORDS[:4], "--logfile", "/l", "--pidfile", "/p",
                                         "--portfile", "/q")),
        ("2014", {"image": "/i", "src_image": "/s", "pregenerate_update": True, "board": "eve"},
         (*WORDS, "--image", "/i", "--src_image", "/s", "--pregenerate_update", "--board", "eve",
          "--logfile", "/l", "--pidfile", "/p")),
        ("2019", {"payload": "/u.gz", "board": None, "use_cached": False},
         (*WORDS, "--payload", "/u.gz", "--logfile", "/l", "--pidfile", "/p", "--portfile", "/q")),
    ],
)  # fmt: skip
def test_the_command_line_has_what_the_version_knows(
    year: str, more: dict[str, Value], words: tuple[str, ...]
) -> None:
    line = command_line({**BASE, **more}, parse_usage(BY_YEAR[year].help()), EXTRAS)
    assert line.words == words
    assert not line.misfits and not line.notices


@pytest.mark.parametrize(
    ("year", "key", "sentence", "hint"),
    [
        ("2022", "image", "--image, which devserver.py had from 2010-09-15 to 2019-08-23",
         "in place of `image`: make the payload"),
        ("2022", "payload", "from 2010-11-17 to 2020-04-24", "stage the build"),
        ("2022", "board", "from 2010-11-04 to 2019-08-23", "name the board"),
        ("2019", "src_image", "from 2010-10-26 to 2019-08-23", "cros_generate_update_payload"),
        ("2018", "use_cached", "from 2010-09-28 to 2010-11-16", "`payload: STATIC_DIR/update.gz`"),
        ("2022", "use_cached", "from 2010-09-28 to 2010-11-16", "stage the build"),
        ("2013", "static_dir", "from 2013-07-17 to its end", "a checkout of 2013-07-17 or later"),
        ("2010", "production", "from 2011-01-25 to its end", "a checkout of 2011-01-25 or later"),
        ("2010", "port", "from 2010-10-11 to its end", "a checkout of 2010-10-11 or later"),
    ],
)  # fmt: skip
def test_an_option_that_the_version_lacks_is_told_with_its_life_span(
    year: str, key: str, sentence: str, hint: str
) -> None:
    value: Value = {"port": 8080, "use_cached": True, "production": True}.get(key, "/x")
    (misfit,) = command_line({key: value}, parse_usage(BY_YEAR[year].help())).misfits
    assert misfit.key == key
    assert misfit.sentence.startswith(f"`{key}` needs --{key}, which devserver.py had ")
    assert sentence in misfit.sentence
    assert misfit.hint is not None and hint in misfit.hint


@pytest.mark.parametrize(
    ("year", "words", "notices"), [("2012", ("-t",), 0), ("2013", ("--test_image",), 0),
                                   ("2018", ("--test_image",), 1)]
)  # fmt: skip
def test_an_option_is_spelled_as_the_version_does(
    year: str, words: tuple[str, ...], notices: int
) -> None:
    line = command_line({"test_image": True}, parse_usage(BY_YEAR[year].help()))
    assert (line.words, len(line.notices)) == (words, notices)


def test_another_option_with_the_same_letter_is_not_taken_for_it() -> None:
    help_of_a_fork = "Options:\n  -h, --help  help\n  -t FILE     a file\n"
    line = command_line({"test_image": True}, parse_usage(help_of_a_fork))
    assert line.words == ()
    assert [misfit.key for misfit in line.misfits] == ["test_image"]


def test_what_an_option_says_of_its_replacement_leads_somewhere() -> None:
    for option in OPTIONS.values():
        assert option.successor is None or option.successor in OPTIONS
        assert option.alive or option.instead or option.successor
    assert set(KEYS.values()) <= set(OPTIONS)


@given(
    st.sampled_from(GENERATIONS),
    st.dictionaries(st.sampled_from(sorted(KEYS)), st.sampled_from([None, False, True, "/x", 1])),
)
def test_no_key_is_lost_and_no_unknown_option_is_passed(
    generation: Generation, wanted: dict[str, Value]
) -> None:
    usage = parse_usage(generation.help())
    line = command_line(wanted, usage, EXTRAS)
    assert {word for word in line.words if word.startswith("-")} <= usage.options.keys()
    asked = {key for key, value in wanted.items() if value is not None and value is not False}
    refused = {misfit.key for misfit in line.misfits}
    assert refused <= asked
    for key in asked - refused:
        assert {KEYS[key], OPTIONS[KEYS[key]].short} & set(line.words)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    usage = parse_usage(text)
    assert not usage or "--help" in usage.options


@pytest.mark.parametrize("text", [
    "", "Traceback (most recent call last):\n  --help is not there\n", "Usage: devserver.py\n",
    "Options:\n  --port=PORT  the port\n",
])  # fmt: skip
def test_what_is_no_help_gives_no_options(text: str) -> None:
    assert not parse_usage(text)

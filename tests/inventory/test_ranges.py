"""Ranges in names and values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.inventory.ranges import RangeError, expand, expand_value, holds_range

SOUND = [
    ("dut", ("dut",)),
    ("dut[1:3]", ("dut1", "dut2", "dut3")),
    ("dut[08:11]", ("dut08", "dut09", "dut10", "dut11")),
    ("dut[8:11]", ("dut8", "dut9", "dut10", "dut11")),
    ("dut[0:5:2]", ("dut0", "dut2", "dut4")),
    ("dut[0:4:2]", ("dut0", "dut2", "dut4")),
    ("dut[7:7]", ("dut7",)),
    ("rack-[a:c]", ("rack-a", "rack-b", "rack-c")),
    ("[A:E:2]x", ("Ax", "Cx", "Ex")),
    ("r[1:2]d[01:02]", ("r1d01", "r1d02", "r2d01", "r2d02")),
    ("[1:2][a:b]", ("1a", "1b", "2a", "2b")),
]
VALUES = [
    ("10.0.1.[01:03]", ("10.0.1.1", "10.0.1.2", "10.0.1.3")),
    ("10.0.[00:01].[009:010]", ("10.0.0.9", "10.0.0.10", "10.0.1.9", "10.0.1.10")),
    ("lab[01:02].example.com", ("lab01.example.com", "lab02.example.com")),
    ("[::1]", ("[::1]",)),
    ("[[:alpha:]]*", ("[[:alpha:]]*",)),
    ("list[0] and [a:f:x]", ("list[0] and [a:f:x]",)),
    ("10.0.01.5", ("10.0.1.5",)),
]
BAD = ["[", "]", "a]b[", "[[1:2]]", "[1]", "[1:2:3:4]", "[1:2:-1]", "[a:F]", "[ab:cd]", "[-1:3]"]


@pytest.mark.parametrize(("written", "names"), SOUND)
def test_a_range_stands_for_names(written: str, names: tuple[str, ...]) -> None:
    assert expand(written) == names


@pytest.mark.parametrize(("written", "values"), VALUES)
def test_a_range_in_a_value(written: str, values: tuple[str, ...]) -> None:
    assert expand_value(written) == values


@pytest.mark.parametrize("written", BAD)
def test_brackets_that_are_no_range_are_refused(written: str) -> None:
    with pytest.raises(RangeError):
        expand(f"dut{written}")


@pytest.mark.parametrize("written", ["[0:9999][0:9]", "[0:99999]", "[1:99999999999999999999]"])
def test_too_many_names_are_refused_before_they_are_made(written: str) -> None:
    with pytest.raises(RangeError, match="more than 10000|too many digits"):
        expand(written)


@given(st.integers(0, 5000), st.integers(0, 3000), st.integers(1, 50))
def test_numbers_are_those_of_range(start: int, length: int, step: int) -> None:
    names = expand(f"n[{start}:{start + length}:{step}]")
    assert names == tuple(f"n{number}" for number in range(start, start + length + 1, step))


@given(st.integers(2, 6), st.data())
def test_padding_keeps_the_width_and_the_order(width: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 10 ** (width - 1) - 1))
    end = data.draw(st.integers(start, min(10**width - 1, start + 200)))
    names = expand(f"[{start:0{width}}:{end:0{width}}]")
    assert {len(name) for name in names} == {width}
    assert list(names) == sorted(names)
    assert [int(name) for name in names] == list(range(start, end + 1))


@given(st.text(alphabet="ad[]:019-.", max_size=12))
def test_expanding_gives_names_without_brackets_or_a_sentence(written: str) -> None:
    try:
        names = expand(written)
    except RangeError as error:
        assert error.message
    else:
        assert names
        assert not any(re.search(r"[\[\]]", name) for name in names)


@given(st.text(max_size=20).filter(lambda text: not holds_range(text)))
def test_a_value_without_a_range_is_one_value(written: str) -> None:
    assert len(expand_value(written)) == 1

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.operations.merging import merge_block, merge_line, merge_settings

foreign_lines = st.lists(
    st.binary(max_size=12).filter(lambda line: b"\n" not in line and b"\0" not in line), max_size=8
)
keys = st.sampled_from(["A", "B", "LONG_KEY", "a.b"])
values = st.dictionaries(keys, st.none() | st.text("ab =\"'é", max_size=5), max_size=3)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    lines = draw(foreign_lines) + draw(st.lists(st.sampled_from([b"A=1", b" B = 2", b"#A=3"])))
    lines = draw(st.permutations(lines))
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return end.join(lines) + draw(st.sampled_from([b"", end]))


def owned(line: bytes, wanted: dict[str, str | None]) -> bool:
    head = line.split(b"=")[0].strip(b" \t") if b"=" in line else None
    return head in {key.encode() for key in wanted}


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (b"", {"A": "1"}, b"A=1\n"),
        (b"", {"A": None}, b""),
        (b"A=1\n", {"A": "1"}, b"A=1\n"),
        (b"# c\nA=0\nB=2\n", {"A": "1"}, b"# c\nA=1\nB=2\n"),
        (b"A=0\nB=2\nA=1\n", {"A": "1"}, b"B=2\nA=1\n"),
        (b"A = 1\n", {"A": "1"}, b"A=1\n"),
        (b"B=2", {"A": "1"}, b"B=2\nA=1\n"),
        (b"A=0", {"A": "1"}, b"A=1\n"),
        (b"A=1", {"A": "1"}, b"A=1\n"),
        (b"#A=0\nAA=0\n", {"A": "1"}, b"#A=0\nAA=0\nA=1\n"),
        (b"A=0\r\nB=2\r\n", {"A": "1", "C": "3"}, b"A=1\r\nB=2\r\nC=3\r\n"),
        (b"\xff\xfe=k\nA=0\n", {"A": None}, b"\xff\xfe=k\n"),
        (b"A=0\nB=1", {"A": "1"}, b"A=1\nB=1"),
        (b"A=x=y\n", {"A": "x=z"}, b"A=x=z\n"),
    ],
)
def test_settings(before: bytes, wanted: dict[str, str | None], after: bytes) -> None:
    assert merge_settings(before, wanted) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Port 23\n", b"Port 22\n"),
        (b"#Port 23\nPorts 1\n", b"#Port 23\nPorts 1\nPort 22\n"),
        (b"Port\t22\n", b"Port 22\n"),
    ],
)
def test_settings_with_a_blank_as_separator(before: bytes, after: bytes) -> None:
    assert merge_settings(before, {"Port": "22"}, separator=" ") == after


@given(files(), values)
def test_settings_are_there_once_and_the_rest_stays(
    before: bytes, wanted: dict[str, str | None]
) -> None:
    after = merge_settings(before, wanted)
    assert merge_settings(after, wanted) == after
    old = [li.rstrip(b"\r") for li in before.split(b"\n") if not owned(li, wanted)]
    lines = [li.rstrip(b"\r") for li in after.split(b"\n")]
    new = [li for li in lines if not owned(li, wanted)]
    assert [li for li in new if li] == [li for li in old if li]
    for key, value in wanted.items():
        found = [line for line in lines if owned(line, {key: None})]
        assert found == ([] if value is None else [f"{key}={value}".encode()])


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "1"), ("A=B", "1"), ("A", "1\n2"), ("A\n", "1"), (" A", "1"), ("#A", "1"), ("A", "\0")],
)
def test_settings_refuse_what_no_line_can_hold(key: str, value: str) -> None:
    with pytest.raises(PlanError):
        merge_settings(b"", {key: value})


@given(files(), st.text("ab\né", max_size=12), st.text("cd\n", max_size=8))
@example(b"\r", "", "")
def test_a_block_is_put_changed_and_taken_away(before: bytes, text: str, other: str) -> None:
    with_block = merge_block(before, text)
    assert merge_block(with_block, text) == with_block
    assert merge_block(merge_block(with_block, other), text) == with_block
    without = merge_block(with_block, None)
    assert without.startswith(before)
    assert without[len(before) :] in (b"", b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [
        (b"x\n", "y", b"x\n# BEGIN crosprov\ny\n# END crosprov\n"),
        (b"x\n# BEGIN crosprov\ny\n# END crosprov\nz\n", "w\n",
         b"x\n# BEGIN crosprov\nw\n# END crosprov\nz\n"),
        (b"# BEGIN crosprov\n# END crosprov\nz\n# BEGIN crosprov\n# END crosprov\n", None, b"z\n"),
        (b"x\n# BEGIN other\ny\n# END other\n", None, b"x\n# BEGIN other\ny\n# END other\n"),
    ],
)  # fmt: skip
def test_block(before: bytes, text: str | None, after: bytes) -> None:
    assert merge_block(before, text) == after


@pytest.mark.parametrize(
    "torn",
    [
        b"# BEGIN crosprov\nx\n",
        b"x\n# END crosprov\n",
        b"# BEGIN crosprov\n# BEGIN crosprov\n# END crosprov\n",
    ],
)
def test_a_torn_block_is_refused_with_its_line(torn: bytes) -> None:
    with pytest.raises(PlanError, match=r"line \d is .* is missing"):
        merge_block(torn, "y")


def test_a_text_with_a_marking_line_is_refused() -> None:
    with pytest.raises(PlanError, match="marks its own end"):
        merge_block(b"", "a\n# END crosprov\nb")


@pytest.mark.parametrize(
    ("before", "line", "match", "after"),
    [
        (b"", "x", None, b"x\n"),
        (b"x\nx\n", "x", None, b"x\nx\n"),
        (b"a", "x", None, b"a\nx\n"),
        (b"#Port 23\nPort 24\nz\n", "Port 22", "^#?Port ", b"Port 22\nz\n"),
        (b"Port 22\n", "Port 22", "^#?Port ", b"Port 22\n"),
        (b"a.c\nabc\n", "a.c", None, b"a.c\nabc\n"),
    ],
)
def test_line(before: bytes, line: str, match: str | None, after: bytes) -> None:
    assert merge_line(before, line, match=match) == after


@given(files(), st.text("AB=1 ", min_size=1, max_size=6), st.none() | st.sampled_from(["^A", "B"]))
def test_a_line_is_merged_once(before: bytes, line: str, match: str | None) -> None:
    after = merge_line(before, line, match=match)
    assert merge_line(after, line, match=match) == after
    assert line.encode() in [have.rstrip(b"\r") for have in after.split(b"\n")]


def test_a_wrong_expression_is_refused() -> None:
    with pytest.raises(PlanError, match="not a regular expression"):
        merge_line(b"x\n", "y", match="(")

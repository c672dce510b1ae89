from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosprov.transport.lines import Lines


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_lines_are_the_same_in_whatever_pieces_they_come(output: bytes, cuts: list[int]) -> None:
    output = output.replace(b"a", b"\n")
    heard: list[bytes] = []
    lines = Lines(heard.append)
    places = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    for start, end in zip(places, places[1:], strict=False):
        lines(output[start:end])
    *whole, rest = output.split(b"\n")
    assert heard == whole
    lines.end()
    assert heard == [*whole, *([rest] if rest else [])]

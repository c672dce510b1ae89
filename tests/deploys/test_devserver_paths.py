"""Properties of the dev server's pure parts: paths, ranges, versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver import server

ROOT = Path("/nonexistent/static")
steps = st.sampled_from(["..", ".", "", "a", "b", "...", "a b", "\0", "..a", "\udcff", "x" * 300])
paths = st.one_of(st.lists(steps).map("/".join), st.text())


@given(paths)
def test_a_path_stays_inside_or_is_refused(path: str) -> None:
    try:
        found = server.inside(ROOT, server.steps_of(path))
    except server.Refused as refused:
        assert refused.status in (400, 404)
    else:
        assert found == ROOT or ROOT in found.parents


@given(st.text(alphabet="0123456789-=, byteslin", max_size=30), st.integers(0, 10**15))
def test_a_range_is_within_the_file_or_refused(header: str, size: int) -> None:
    try:
        part = server.range_of(header, size)
    except server.Refused as refused:
        assert refused.status == 416
    else:
        assert part is None or (0 <= part[0] and part[1] >= 1 and part[0] + part[1] <= size)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_plain_range_is_what_it_says(first: int, more: int, size: int) -> None:
    first %= size
    last = first + more
    part = server.range_of(f"bytes={first}-{last}", size)
    assert part == (first, min(last, size - 1) - first + 1)


@given(st.lists(st.tuples(*[st.integers(0, 9999)] * 4), min_size=1))
def test_versions_are_ordered_by_their_numbers(numbers: list[tuple[int, int, int, int]]) -> None:
    names = {f"R{m}-{b}.{r}.{p}": (m, b, r, p) for m, b, r, p in numbers}
    assert names[max(names, key=server.version_key)] == max(numbers)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("R9-1.0.0", "R10-1.0.0"),
        ("R10-9.0.0", "R10-10.0.0"),
        ("R65-10323.0.0", "R65-10323.0.0-b12"),
        ("R65-1.2.9", "R65-1.10.0"),
    ],
)
def test_newer_versions_come_later(older: str, newer: str) -> None:
    assert server.version_key(older) < server.version_key(newer)


@given(st.binary(max_size=200))
def test_any_body_is_answered_or_refused(body: bytes) -> None:
    with pytest.raises(server.Refused):
        server.no_update(body)

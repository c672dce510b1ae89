from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.operations.json_merging import Json, merge_json

ADMINS = """\
{
    "debug": true,
    "log-opts": { "tag": "{{.Name}}" },
    "dns" : ["192.0.2.1",
             "192.0.2.2"]
}
"""


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        ("", {}, ""),
        ("", {"a": None}, ""),
        ("", {"a": {"b": None}}, ""),
        ("", {"a": 1}, '{\n  "a": 1\n}\n'),
        (" \n", {"a": 1}, '{\n  "a": 1\n}\n'),
        ("{}", {"a": 1}, '{\n  "a": 1\n}'),
        ("{\n}\n", {"a": 1}, '{\n  "a": 1\n}\n'),
        ("{}\n", {"a": {}}, '{\n  "a": {}\n}\n'),
        ('{"a": 1}', {"a": 1}, '{"a": 1}'),
        ('{"a": 1}', {"a": True}, '{"a": true}'),
        ('{"a": 1}', {"b": [2]}, '{"a": 1, "b": [\n  2\n]}'),
        ('{"a":1 , "b":2}', {"a": None}, '{"b":2}'),
        ('{"a":1 , "b":2}', {"b": None}, '{"a":1}'),
        ('{ "a":1 }', {"a": None}, "{ }"),
        ('{"a":1}', {"a": None, "b": None, "c": 3}, '{\n  "c": 3\n}'),
        ('{"a": 1}', {"a": {"b": 2}}, '{"a": {\n  "b": 2\n}}'),
        ('{"a": {"b": 1}}', {"a": {}}, '{"a": {"b": 1}}'),
        ('{"a": {"b": 1}}', {"a": 2}, '{"a": 2}'),
        ('\ufeff{"a": 1}', {"a": 2}, '\ufeff{"a": 2}'),
        ('{"a\\u0062": 1}', {"ab": 2}, '{"a\\u0062": 2}'),
        ('{\r\n\t"a": 1\r\n}\r\n', {"b": {"c": 2}},
         '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t  "c": 2\r\n\t}\r\n}\r\n'),
        (ADMINS, {"log-opts": {"max-size": "10m", "tag": None}},
         ADMINS.replace('{ "tag": "{{.Name}}" }', '{ "max-size": "10m" }')),
        (ADMINS, {"log-opts": {"max-size": "10m"}, "data-root": "/data"},
         ADMINS.replace('.Name}}" }', '.Name}}", "max-size": "10m" }')
         .replace("]\n", ']' + ',\n    "data-root": "/data"\n')),
    ],
)  # fmt: skip
def test_what_is_ours_changes_and_nothing_else(
    before: str, values: dict[str, Json], after: str
) -> None:
    assert merge_json(before.encode(), values).decode() == after
    assert merge_json(after.encode(), values).decode() == after


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (b'{\n  "a": 1,\n}\n', "line 3 is not JSON"),
        (b"# mine\n{}\n", "line 1 is not JSON"),
        (b'{\n  "a": \xff\n}\n', "line 2 is not UTF-8"),
        (b"[]", "other than a JSON object"),
        (b'"text"', "other than a JSON object"),
        (b"{} {}", "line 1 is not JSON"),
        (b'{"a": NaN}', "NaN in it is not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        (b'{"a": ' + b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_holds_no_object_is_refused_with_its_line(before: bytes, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        merge_json(before, {"a": 1})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), datetime.date(2023, 6, 1), {1, 2}, b"x", {"a": {2: "b"}},
        "\ud800",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"", b"{}", b'{"a": 1}'])
def test_what_json_does_not_have_is_refused(before: bytes, value: Any) -> None:
    with pytest.raises(PlanError, match="cannot be written as JSON"):
        merge_json(before, {"a": value})


_KEYS = st.sampled_from(["a", "b", "data-root", 'q"\\', "é"])
_SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    _SCALARS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=4)
_WISHES = st.dictionaries(_KEYS, st.none() | _VALUES | _OBJECTS.map(lambda o: {**o, "a": None}))
_STYLES = st.sampled_from([None, 0, 1, 4, "\t"])


def merged(before: Json, values: Mapping[str, Json]) -> dict[str, Json]:
    """Merge by the meaning alone, in the plainest way."""
    after = dict(before) if isinstance(before, Mapping) else {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            inner = merged(after.get(key), value)
            if isinstance(after.get(key), Mapping) or inner:
                after[key] = inner
        elif isinstance(value, Mapping) and isinstance(after.get(key), Mapping):
            continue
        elif value is None:
            after.pop(key, None)
        else:
            after[key] = value
    return after


@given(_OBJECTS, _WISHES, _STYLES)
def test_a_merge_means_what_it_says_and_is_done_once(
    before: dict[str, Any], values: dict[str, Any], style: int | str | None
) -> None:
    text = json.dumps(before, indent=style, ensure_ascii=False).encode()
    after = merge_json(text, values)
    assert merge_json(after, values) == after
    assert json.loads(after) == merged(before, values)
    kept = [key for key in before if key in json.loads(after)]
    assert [key for key in json.loads(after) if key in before] == kept


@given(_OBJECTS, _STYLES)
def test_what_is_there_already_changes_nothing(
    before: dict[str, Any], style: int | str | None
) -> None:
    text = json.dumps(before, indent=style).encode()
    assert merge_json(text, before) == text


@given(_OBJECTS, _OBJECTS, _STYLES)
def test_lines_of_others_stay(
    foreign: dict[str, Any], ours: dict[str, Any], style: int | str | None
) -> None:
    text = json.dumps({f"x-{key}": value for key, value in foreign.items()}, indent=style)
    after = merge_json(text.encode(), ours).decode()
    assert not foreign or text.rstrip("}").rstrip() in after


@given(st.binary(max_size=30))
def test_any_bytes_are_merged_or_refused(before: bytes) -> None:
    try:
        after = merge_json(before, {"a": {"b": 1}})
    except PlanError:
        return
    assert json.loads(after.decode("utf-8-sig"))["a"]["b"] == 1

"""Layers: defaults, groups in the order of the file, the host's own."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.inventory.document import Array, Entry, Mark, Node, Scalar, Table, plain
from crosprov.inventory.layers import merge
from tests.inventory.labs import lab_of, problems_of

TEXT = """\
lab: l
defaults:
  ssh: {user: low, port: 1}
  common: {packages: [curl, rsync], settings: {/etc/a: {A: d, B: d, C: d}}}
groups:
  first: {hosts: [a, b], ssh: {port: 2}, common: {settings: {/etc/a: {B: one, C: one}}}}
  second: {hosts: [a], ssh: {port: 3}}
hosts:
  a:
    common:
      packages: [vim]
      settings: {/etc/a: {C: own, D: null}}
  b: {}
"""


@pytest.mark.parametrize(
    ("host", "field", "line"),
    [
        ("a", "ssh.user", 3),
        ("a", "ssh.port", 7),
        ("b", "ssh.port", 6),
        ("a", "common.packages", 11),
        ("a", "common.packages.0", 11),
        ("b", "common.packages.1", 4),
        ("a", "common.settings./etc/a.A", 4),
        ("a", "common.settings./etc/a.B", 6),
        ("a", "common.settings./etc/a.C", 12),
    ],
)
def test_the_origin_of_a_value_is_remembered(host: str, field: str, line: int) -> None:
    origin = lab_of(TEXT).origin(host, field)
    assert origin is not None
    assert (origin[0].name, origin[1]) == ("lab.yml", line)


def test_a_default_of_the_program_has_no_origin() -> None:
    assert lab_of(TEXT).origin("a", "ssh.sudo") is None


def test_the_nearest_layer_wins() -> None:
    lab = lab_of(TEXT)
    assert [(host.ssh.user, host.ssh.port) for host in lab.hosts.values()] == [
        ("low", 3),
        ("low", 2),
    ]
    common = lab.hosts["a"].roles["common"].model_dump()
    assert common["packages"] == ("vim",)
    assert common["settings"] == {"/etc/a": {"A": "d", "B": "one", "C": "own", "D": None}}


def test_an_empty_section_plays_the_role_and_hides_nothing() -> None:
    lab = lab_of("""\
    lab: l
    defaults: {docker: {package: docker-ce}}
    hosts:
      a: {docker: }
      b:
    """)
    assert {host.roles["docker"].model_dump()["package"] for host in lab.hosts.values()} == {
        "docker-ce"
    }


def test_groups_hold_hosts_ranges_globs_and_groups() -> None:
    lab = lab_of("""\
    lab: l
    groups:
      odd: {hosts: ["d[1:5:2]"]}
      both: {hosts: [odd, e1]}
      starred: {hosts: ["d*"]}
      every: {hosts: [all]}
      nobody: {hosts: []}
    hosts: {"d[1:5]": {docker: }, e1: {docker: }}
    """)
    duts = ("d1", "d2", "d3", "d4", "d5")
    assert lab.groups == {
        "odd": ("d1", "d3", "d5"),
        "both": ("d1", "d3", "d5", "e1"),
        "starred": duts,
        "every": (*duts, "e1"),
        "nobody": (),
    }
    assert lab.hosts["d3"].groups == ("odd", "both", "starred", "every")


def test_ranges_of_values_are_paired_with_the_name() -> None:
    lab = lab_of("""\
    lab: l
    hosts:
      "r[1:2]d[01:02]":
        ssh: {host: "10.0.[1:2].[01:02]"}
        dut: {board: "eve-R[120:123]"}
    """)
    assert [
        (h.name, h.address, h.roles["dut"].model_dump()["board"]) for h in lab.hosts.values()
    ] == [
        ("r1d01", "10.0.1.1", "eve-R120"),
        ("r1d02", "10.0.1.2", "eve-R121"),
        ("r2d01", "10.0.2.1", "eve-R122"),
        ("r2d02", "10.0.2.2", "eve-R123"),
    ]


def test_brackets_in_the_text_of_files_stay() -> None:
    lab = lab_of("""\
    lab: l
    hosts:
      "h[1:2]": {common: {files: {/a: {content: "x[1:9]"}}}}
    """)
    contents = [host.roles["common"].model_dump()["files"] for host in lab.hosts.values()]
    assert [files["/a"]["content"] for files in contents] == ["x[1:9]", "x[1:9]"]


def test_anchors_and_merge_keys() -> None:
    lab = lab_of("""\
    lab: l
    hosts:
      a: {ssh: &ssh {user: low, port: 5}, docker: }
      b: {ssh: {<<: *ssh, port: 6}, docker: }
      c: {ssh: {<<: [{port: 7}, *ssh]}, docker: }
    """)
    assert [(h.ssh.user, h.ssh.port) for h in lab.hosts.values()] == [
        ("low", 5),
        ("low", 6),
        ("low", 7),
    ]
    assert lab.origin("b", "ssh.user") == (lab.path, 3)


def test_anchors_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    problems = problems_of("\n".join([*lines, "lab: l", "hosts: {a: {docker: }}"]))
    assert any("anchors expand this to more than" in problem.message for problem in problems)


trees = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
tables = st.dictionaries(st.sampled_from("abcd"), trees, max_size=4)


def _node(value: Any, line: int) -> Node:
    mark = Mark(line, 1)
    if isinstance(value, dict):
        return Table({k: Entry(_node(v, line), mark) for k, v in value.items()}, mark)
    if isinstance(value, list):
        return Array(tuple(_node(item, line) for item in value), mark)
    return Scalar(value, mark)


def _table(value: dict[str, Any], line: int) -> Table:
    node = _node(value, line)
    return node if isinstance(node, Table) else Table({}, node.mark)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge as the documentation says it, without marks."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


@given(st.lists(tables, max_size=4))
def test_merging_is_deep_and_the_last_layer_wins(layers: list[dict[str, Any]]) -> None:
    merged = merge([_table(layer, line) for line, layer in enumerate(layers, 1)])
    assert plain(merged) == plain(_table(reduce(_merged, layers, {}), 1))


@given(tables)
def test_merging_a_layer_with_itself_changes_nothing(layer: dict[str, Any]) -> None:
    table = _table(layer, 1)
    assert merge([table, table]) == merge([table]) == table

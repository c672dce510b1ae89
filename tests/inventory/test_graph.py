"""Waves, and the drawings of a lab."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from crosprov.inventory.drawing import as_svg
from crosprov.inventory.graph import as_dot, as_text, waves
from crosprov.inventory.lab import Edge, Host, Lab
from crosprov.inventory.load import load_lab
from crosprov.inventory.ssh import SshSettings
from tests.inventory.labs import EXAMPLES, lab_of

SVG = "{http://www.w3.org/2000/svg}"
DEMO = load_lab(EXAMPLES[0])
LARGE = lab_of("""\
lab: large
hosts:
  dev1: {dev_server: }
  dev2: {dev_server: }
  "dut[01:40]": {ssh: {host: "10.0.1.[01:40]"}, dut: {board: eve, dev_server: dev1}}
  "dut[41:50]": {ssh: {host: "10.0.1.[41:50]"}, dut: {board: eve, dev_server: dev2}}
  spare: {dut: {board: eve}}
""")


def test_a_host_comes_after_those_it_needs() -> None:
    assert waves(DEMO) == (("mirror1", "factory1"), ("dev1",), ("dut01", "dut02"))


def test_hosts_that_are_not_chosen_do_not_count() -> None:
    assert waves(DEMO, {"dut02", "mirror1"}) == (("mirror1", "dut02"),)


def test_a_host_may_refer_to_itself() -> None:
    lab = lab_of("""\
    lab: l
    mirrors: {g: {kind: manual, store: /g}}
    hosts: {a: {mirror: {serves: [g]}, dev_server: {mirrors: a}}}
    """)
    assert lab.edges == ()
    assert waves(lab) == (("a",),)


def test_text() -> None:
    assert as_text(LARGE).splitlines() == [
        "large: 53 hosts",
        "",
        "wave 1",
        "  dev1   dev1   dev_server",
        "  dev2   dev2   dev_server",
        "  spare  spare  dut",
        "",
        "wave 2",
        "  dut01…dut40  10.0.1.1…10.0.1.40   dut  needs dev1",
        "  dut41…dut50  10.0.1.41…10.0.1.50  dut  needs dev2",
    ]


def test_dot() -> None:
    lines = [line.strip() for line in as_dot(LARGE).splitlines()]
    assert lines[0] == 'digraph "large" {'
    assert lines[-1] == "}"
    assert [line for line in lines if "->" in line] == [
        '"dut01…dut40" -> "dev1" [label="dut.dev_server"];',
        '"dut41…dut50" -> "dev2" [label="dut.dev_server"];',
    ]


def test_svg_has_a_box_for_each_cluster_and_an_arrow_for_each_need() -> None:
    root = ElementTree.fromstring(as_svg(LARGE))
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == ["dev1", "dev2", "spare", "dut01…dut40", "dut41…dut50"]
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "needs"]) == 2


def test_svg_boxes_lie_apart_and_inside() -> None:
    root = ElementTree.fromstring(as_svg(LARGE))
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    boxes = [
        tuple(float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class") == "host"
    ]
    assert len(boxes) == 5
    assert all(x + w <= width and y + h <= height for x, y, w, h in boxes)
    for number, (x, y, w, h) in enumerate(boxes):
        for other_x, other_y, other_w, other_h in boxes[number + 1 :]:
            beside = x + w <= other_x or other_x + other_w <= x
            above = y + h <= other_y or other_y + other_h <= y
            assert beside or above


@given(st.integers(0, 12), st.data())
def test_waves_hold_every_host_once_and_follow_every_reference(
    count: int, data: st.DataObject
) -> None:
    names = [f"h{number}" for number in range(count)]
    hosts = {name: Host(name, SshSettings(), {}) for name in data.draw(st.permutations(names))}
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    edges = tuple(Edge(host, "x", target) for host, target in chosen)
    lab = Lab("l", EXAMPLES[0], hosts, {}, {}, edges)
    found = waves(lab)
    place = {name: number for number, wave in enumerate(found) for name in wave}
    assert sorted(name for wave in found for name in wave) == sorted(names)
    assert all(place[edge.host] > place[edge.target] for edge in edges)

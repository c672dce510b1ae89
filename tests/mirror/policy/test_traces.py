"""The line of a finding: that of the word which asks for the file, and of no other statement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crosprov.mirror.policy.rules import RULES
from crosprov.mirror.policy.shell import assignments_of, commands_of
from crosprov.mirror.policy.traces import Traces
from crosprov.mirror.sarif import to_sarif

from .growing import Grove

OWN = "gs://chromeos-localmirror/distfiles"
KNOWN = {"P": "tool-1.2_p3", "PN": "tool", "PV": "1.2_p3"}


def line(text: str, *words: str, name: str = "SRC_URI") -> int:
    return Traces(name, list(assignments_of(commands_of(text))), KNOWN).line_of(words)


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ('SRC_URI="https://a/x.tar"', "https://a/x.tar", 1),
        ('SRC_URI="\n\thttps://a/x.tar\n\thttps://a/y.tar\n"', "https://a/y.tar", 3),
        ('SRC_URI="https://a/${P}.tar\n\thttps://a/${P}-doc.tar"', "https://a/tool-1.2_p3.tar", 1),
        (
            'SRC_URI="https://a/${P}.tar\n\thttps://a/${P}-doc.tar"',
            "https://a/tool-1.2_p3-doc.tar",
            2,
        ),
        ('X=1\nSRC_URI="https://a/$PN/v$PV.tar"', "https://a/tool/v1.2_p3.tar", 2),
        ('SRC_URI="https://a/b\nhttps://a/${PV/_/-}.tar"', "https://a/1.2-p3.tar", 2),
        ('SRC_URI="https://a/b\nhttps://a/$(ver_cut 1-2).tar"', "https://a/1.2.tar", 2),
        ('SRC_URI="https://a/b\nhttps://a/$(f $(g x)).tar"', "https://a/1.2.tar", 2),
        ('SRC_URI="https://a/b\nhttps://a/`f x`.tar"', "https://a/1.2.tar", 2),
        ('MY=${PN^}\nSRC_URI="https://a/c\nhttps://a/${MY}.tar"', "https://a/Tool.tar", 3),
        ('A=https://a\nB=https://b\nSRC_URI="${A}/x\n${B}/x"', "https://b/x", 4),
        ('A=https://a\nB=${A}/b\nSRC_URI="${A}/x\n${B}/x"', "https://a/b/x", 4),
        ('SRC_URI="https://a/x"\nSRC_URI+="\nuse? ( https://a/y )"', "https://a/y", 3),
        ('SRC_URI="https://a/x"\nSRC_URI="${SRC_URI}\nhttps://a/y"', "https://a/y", 3),
        ('SRC_URI="${OTHERS}\nhttps://a/x"', "https://a/x", 2),
        ('SRC_URI="https://a/x\n\t${OTHERS}"', "https://crates.io/y", 2),
        ('SRC_URI="https://a/x\nmirror+https://a/y"', "https://a/y", 2),
        ('# https://a/y\nD="https://a/y"\nSRC_URI="x \\\n  https://a/y"', "https://a/y", 4),
        ('if x; then\nSRC_URI="http://a/x"\nelse\nSRC_URI="http://a/y"\nfi', "http://a/y", 4),
        ("SRC_URI='https://a/x\nhttps://a/'\"y\"", "https://a/y", 2),
        ('SRC_URI="http://a/ab${X}ba\nhttp://a/${Y}"', "http://a/aba", 2),
        ('SRC_URI="http://a/${X}-${Y}-${Z}b\nhttp://a/${Y}"', "http://a/x-yb", 2),
        # what no pattern fits has the line of the longest piece
        ('SRC_URI="http://a/x\nhttp://b/${P}/$((1+1))-[\nhttp://c/"', "http://b/tool-1.2_p3/q", 2),
        # an eclass wrote it
        ('SRC_URI="${SRC_URI}\nhttps://a/x"', "gs://b/y", 0),
        ('SRC_URI="https://a/x"', "gs://b/y", 0),
        ('src_unpack() { unpack "https://a/x"; }', "https://a/x", 0),
        ("", "https://a/x", 0),
    ],
)  # fmt: skip
def test_words_are_traced_to_their_line(text: str, word: str, expected: int) -> None:
    assert line(text, word) == expected


def test_the_first_word_that_is_found_counts() -> None:
    text = 'SRC_URI="https://a/x\n\t-> ${P}.tar"'
    assert line(text, "https://a/x") == 1
    assert line(text, "tool-1.2_p3.tar", "https://a/x") == 2
    assert line(text, "other.tar", "https://a/x") == 1


@given(st.text(alphabet="a/ \n\"'\\$`(){}SRC_URI=+", max_size=60), st.text("a/", max_size=9))
def test_any_text_has_a_line(text: str, word: str) -> None:
    found = line(f"SRC_URI={text}", word)
    assert 0 <= found <= text.count("\n") + 1


@given(st.lists(st.sampled_from(["a", "b", "ab", "${X}"]), min_size=1, max_size=6), st.data())
def test_a_pattern_fits_what_a_shell_makes_of_it(pieces: list[str], data: st.DataObject) -> None:
    made = "".join(data.draw(st.text("ab", max_size=3)) if p == "${X}" else p for p in pieces)
    assume(made)
    assert line(f'SRC_URI="zz\n{"".join(pieces)}"', made) == 2


@pytest.mark.timeout(20)
def test_no_text_takes_long() -> None:
    text = "SRC_URI=" + "-${x}a" * 5_000
    assert line(text, "-a" * 50_000) == 1
    assert line("SRC_URI=" + "${" * 5_000, "x") >= 0
    assert line("SRC_URI=" + "$(" * 5_000, "x") >= 0


def test_findings_stand_where_the_file_is_asked_for(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    names = ("tool-1.1.tar.gz", "source.zip")
    path = grove.ebuild(
        "EAPI=7\n"
        f'SRC_URI="\n\thttps://example.com/${{P}}.tar.xz\n\t{OWN}/${{P}}.tar.gz\n'
        '\thttps://example.com/${PV}.zip\n\t\t-> source.zip\n"\n\n'
        'RESTRICT="strip\n\ttest"\nRESTRICT+=" mirror"\n'
        'src_unpack() {\n\tunpack "tool-1.1.tar.gz" source.zip\n}\n',
        uri="https://example.com/tool-1.1.tar.xz "
        f"{OWN}/tool-1.1.tar.gz https://example.com/1.1.zip -> source.zip",
        restrict="strip test mirror",
        manifest={**dict.fromkeys(names, ""), "tool-1.1.tar.xz": ""},
    )
    report = grove.check()
    lines = {finding.rule: str(finding.place) for finding in report.findings}
    assert lines == {
        "own-format": f"{path}:4",
        "name-version": f"{path}:6",
        "name-generic": f"{path}:6",
        "restrict-external": f"{path}:3",
    }
    results = json.loads(to_sarif(report, RULES))["runs"][0]["results"]
    regions = {r["ruleId"]: r["locations"][0]["physicalLocation"]["region"] for r in results}
    assert regions == {rule: {"startLine": int(at[-1])} for rule, at in lines.items()}


def test_every_variable_of_an_ebuild_s_name_is_put_in(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    values = {
        "P": "tool-1.1", "PN": "tool", "PV": "1.1", "PR": "r2", "PVR": "1.1-r2",
        "PF": "tool-1.1-r2", "CATEGORY": "app-misc",
    }  # fmt: skip
    place = "gs://chromeos-prebuilt/x"
    text = "".join(f"\t{place}/${{{name}}}\n" for name in values)
    path = grove.ebuild(
        f'EAPI=7\nSRC_URI="\n{text}"\n',
        uri=" ".join(f"{place}/{value}" for value in values.values()),
        version="1.1-r2",
    )
    found = {f.subject: str(f.place) for f in grove.found() if f.rule == "bucket"}
    assert found == {value: f"{path}:{3 + at}" for at, value in enumerate(values.values())}


def test_a_needless_restriction_stands_where_it_is_set(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    text = f'EAPI=7\nSRC_URI="{OWN}/${{P}}.tar.xz"\n\nRESTRICT="strip"\nSLOT=0\nRESTRICT+=" mirror"'
    path = grove.ebuild(f"{text}\n", uri=f"{OWN}/tool-1.1.tar.xz", restrict="strip mirror")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [("restrict-needless", f"{path}:6")]


def test_a_restriction_that_an_eclass_sets_is_not_the_ebuild_s(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    text = f'EAPI=7\nSRC_URI="{OWN}/${{P}}.tar.xz"\nRESTRICT="${{RESTRICT}} strip"\n'
    grove.ebuild(text, uri=f"{OWN}/tool-1.1.tar.xz", restrict="mirror strip")
    assert grove.rules() == []


def test_what_an_eclass_asks_for_has_no_line_of_the_ebuild(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    text = 'EAPI=7\ninherit ours\nRESTRICT="strip"\n'
    path = grove.ebuild(text, uri=f"{OWN}/tool-1.1.zip", restrict="strip mirror")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [("own-format", path)]

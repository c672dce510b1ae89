"""The check as a whole: entries, mirrors, archives, history, the allow-list, and the outcome."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import IO

import jsonschema
import pytest

from crosprov.mirror.allowlist import parse_allow_list, read_allow_list
from crosprov.mirror.findings import SCHEMA, Finding, Report, to_json, to_text
from crosprov.mirror.model import Archive, Fault, Place, Tree
from crosprov.mirror.policy.archives import open_pieces, problem_of_layout
from crosprov.mirror.policy.check import Options
from crosprov.mirror.policy.entries import Mirror
from crosprov.mirror.policy.rules import RULES
from crosprov.mirror.sarif import to_sarif

from .growing import HEAD, Grove
from .sarif_schema import SARIF

SHA_OF_X = hashlib.sha512(b"x").hexdigest()
URI = "https://example.com/tool-1.1.tar.gz"
OWN = "gs://chromeos-localmirror/distfiles/tool-1.1.tar.xz"


def tarball(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(member)
    return out.getvalue()


def test_every_rule_explains_itself() -> None:
    assert len({rule.title for rule in RULES.values()}) == len(RULES) == 21
    for id_, rule in RULES.items():
        assert rule.id == id_ and rule.why.endswith(".") and rule.title.endswith(".")


def test_a_tree_without_breaches_passes(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI)
    report = grove.check()
    assert (report.status, report.findings, report.ebuilds, report.files) == (0, (), 1, 1)
    assert "nothing found" in to_text(report)


@pytest.mark.parametrize(
    ("with_mirrors", "committed", "skipped"),
    [
        (False, False, ("own-layout", "unmirrored", "changed")),
        (False, True, ("own-layout", "unmirrored")),
        (True, False, ("changed",)),
        (True, True, ()),
    ],
)
def test_rules_that_were_not_looked_at_are_named_in_any_form(
    tmp_path: Path, with_mirrors: bool, committed: bool, skipped: tuple[str, ...]
) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI)
    if committed:
        grove.commit()
    mirror = Mirror("m", True, {"tool-1.1.tar.gz": Archive("tool-1.1.tar.gz", 0, {})})
    mirrors = (mirror,) if with_mirrors else ()
    opener = (lambda name: None) if with_mirrors else None
    report = grove.check(Options(mirrors=mirrors, open_archive=opener, source_stale=False))
    assert set(report.skipped) == set(skipped) == set(RULES) - set(report.ran)
    text, document = to_text(report), json.loads(to_json(report))
    run = json.loads(to_sarif(report, RULES))["runs"][0]
    told = [one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]]
    remarks = [f"{one['sentence']}; {one['hint']}" for one in document["remarks"]]
    assert told == remarks and len(told) == bool(skipped) + (len(skipped) == 3)
    for rule in skipped:
        assert any(rule in one for one in told)
        assert rule in text and rule not in document["rules"]
    assert all(f"note: {one.replace('; ', chr(10) + '    ', 1)}\n" in text for one in told)
    count = {0: "", 1: "; 1 rule not looked at"}.get(len(skipped))
    ending = f"; {len(skipped)} rules not looked at" if count is None else count
    assert text.endswith(f": nothing found{ending}\n")
    assert any("--mirrors-of" in one for one in told) == (not with_mirrors)


@pytest.mark.parametrize(("history", "hint"), [(True, "full clone"), (False, "--no-history")])
def test_a_history_that_was_not_read_says_how_to_have_it_read(
    tmp_path: Path, history: bool, hint: str
) -> None:
    grove = Grove(tmp_path)
    if not history:
        grove.commit()
    report = grove.check(Options(history=history, source_stale=False))
    (remark,) = [one for one in report.remarks if one.kind == "no history"]
    assert "changed" in remark.sentence and hint in (remark.hint or "")


@pytest.mark.parametrize(
    ("manifest", "rules"),
    [
        ({}, ["manifest"]),
        ({"tool-1.0.tar.gz": ""}, ["manifest"]),
        ({"tool-1.1.tar.gz": "", "tool-1.0.tar.gz": ""}, []),
    ],
)
def test_each_file_has_an_entry(tmp_path: Path, manifest: dict[str, str], rules: list[str]) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI, manifest=manifest)
    assert grove.rules() == rules


def test_a_bad_line_is_found_where_it_is(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI, manifest={})
    grove.write("app-misc/tool/Manifest", "\nDIST ../x 1 SHA512 00\n")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [
        ("manifest", "app-misc/tool/Manifest:2")
    ]


def test_a_tree_may_have_no_manifests(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI, manifest={})
    grove.write("metadata/layout.conf", "use-manifests = false\nmasters =\n")
    assert grove.rules() == []


@pytest.mark.parametrize(("other", "rules"), [("a", []), ("b", ["name-clash"])])
def test_one_name_means_one_content(tmp_path: Path, other: str, rules: list[str]) -> None:
    grove = Grove(tmp_path)
    for package, content in (("app-misc/tool", "a"), ("dev-util/tool", other)):
        grove.ebuild(uri=URI, package=package, manifest={"tool-1.1.tar.gz": content})
    found = grove.found()
    assert [finding.rule for finding in found] == rules
    if found:
        assert "app-misc/tool/Manifest:1" in found[0].sentence


@pytest.mark.parametrize(("other", "rules"), [("a", []), ("b", ["name-clash"])])
def test_one_name_means_one_content_in_the_trees_that_it_follows(
    tmp_path: Path, other: str, rules: list[str]
) -> None:
    master = Grove(tmp_path / "master")
    master.write("profiles/repo_name", "base\n")
    master.ebuild(uri=URI, package="dev-util/tool", manifest={"tool-1.1.tar.gz": other})
    grove = Grove(tmp_path / "grove")
    grove.write("metadata/layout.conf", "masters = base\n")
    grove.ebuild(uri=URI, manifest={"tool-1.1.tar.gz": "a"})
    options = Options(masters=(Tree("base", master.path, True),), history=False, source_stale=False)
    found = grove.found(options)
    assert [finding.rule for finding in found] == rules
    if found:
        assert found[0].place.path == "app-misc/tool/Manifest"
        assert f"{master.path}/dev-util/tool/Manifest:1" in found[0].sentence


@pytest.mark.parametrize(
    ("name", "size", "hashes", "public", "rules"),
    [
        ("tool-1.1.tar.gz", 1, {}, True, []),
        ("tool-1.1.tar.gz", 2, {}, True, ["unmirrored"]),
        ("tool-1.0.tar.gz", 1, {}, True, ["unmirrored"]),
        ("tool-1.1.tar.gz", 1, {}, False, ["unmirrored"]),
        ("tool-1.1.tar.gz", 1, {}, None, []),
        ("tool-1.1.tar.gz", 1, {"SHA512": SHA_OF_X, "MD5": "0" * 32}, True, []),
        ("tool-1.1.tar.gz", 1, {"SHA512": "0" * 128}, True, ["unmirrored"]),
    ],
)
def test_files_are_on_a_mirror_that_the_tree_may_use(
    tmp_path: Path,
    name: str,
    size: int,
    hashes: dict[str, str],
    public: bool | None,
    rules: list[str],
) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI, manifest={"tool-1.1.tar.gz": "x"})
    grove.ebuild(uri=URI, version="1.1-r1", manifest={"tool-1.1.tar.gz": "x"})
    mirror = Mirror("m", public, {name: Archive(name, size, hashes)})
    report = grove.check(Options(mirrors=(mirror,), history=False, source_stale=False))
    assert [finding.rule for finding in report.findings] == rules
    unknown = [remark.sentence for remark in report.remarks if remark.kind == "unknown mirror"]
    assert len(unknown) == (public is None)
    if size == 1 and hashes and rules:
        sentence = report.findings[0].sentence
        assert f"has SHA512 {SHA_OF_X[:16]}… by its Manifest, and SHA512 0000" in sentence


def test_eclasses_are_held_to_what_concerns_their_code(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(uri=URI)
    grove.write(
        "eclass/ours.eclass",
        '# tar xf x\nours_src_unpack() {\n\tunzip "${DISTDIR}/x.zip"\n'
        '\tunpack "${DISTDIR}/y.tar"\n\tcurl gs://chromeos-localmirror-private/distfiles/z\n}\n',
    )
    grove.write("eclass/fine.eclass", "fine_src_unpack() {\n\tunpack ${A}\n}\n")
    grove.write("eclass/cros-cpfe.eclass", "cpfe() {\n\tx gs://chromeos-binaries/${1}\n}\n")
    (tmp_path / "eclass" / "linked.eclass").symlink_to("ours.eclass")
    grove.write("eclass/README", "tar xf x.tar\n")
    assert [(one.rule, str(one.place)) for one in grove.found()] == [
        ("self-unpack", "eclass/ours.eclass:3"),
        ("unpack-path", "eclass/ours.eclass:4"),
        ("private-mirror", "eclass/ours.eclass:5"),
    ]
    grove.public = False
    assert grove.rules() == ["self-unpack", "unpack-path"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["tool-1.1/", "tool-1.1/a"], None),
        (["./tool-1.1/", "./tool-1.1/a"], None),
        (["tool-1.1/a"], None),
        (["tool-1.1/a", "b"], "'b'"),
        (["./", "./a"], "(./)"),
        (["tool/a"], "'tool/a'"),
        (["tool-1.1/../a"], "leads out"),
        (["/tool-1.1/a"], "leads out"),
        (["tool-1.1"], "no folder"),
        ([], "nothing"),
    ],
)
def test_archives_hold_one_folder(names: list[str], problem: str | None) -> None:
    found = problem_of_layout(io.BytesIO(tarball(*names)), "tool-1.1")
    assert found is None if problem is None else problem in (found or "")


@pytest.mark.parametrize("content", [b"", b"no tarball", tarball("tool-1.1/a")[:-9]])
def test_a_broken_archive_has_a_sentence(content: bytes) -> None:
    assert "no readable xz tarball" in (problem_of_layout(io.BytesIO(content), "tool-1.1") or "")


def test_archives_at_hand_are_looked_into(tmp_path: Path) -> None:
    grove = Grove(tmp_path / "tree")
    path = grove.ebuild(uri=OWN)
    cache = tmp_path / "cache"
    cache.mkdir()

    def opened(name: str) -> IO[bytes] | None:
        return (cache / name).open("rb") if (cache / name).exists() else None

    options = Options(open_archive=opened, history=False, source_stale=False)
    assert grove.rules(options) == []
    (cache / "tool-1.1.tar.xz").write_bytes(tarball("a"))
    assert [(f.rule, str(f.place)) for f in grove.found(options)] == [("own-layout", f"{path}:2")]


def test_archives_of_a_store_are_read_in_pieces() -> None:
    content = tarball("tool-1.1/a")
    pieces = [b"", *(content[at : at + 7] for at in range(0, len(content), 7))]
    opened = open_pieces(lambda _: iter(pieces))("x")
    assert opened is not None and problem_of_layout(opened, "tool-1.1") is None


def grown(tmp_path: Path, *contents: str) -> Grove:
    grove = Grove(tmp_path)
    for content in contents:
        grove.ebuild(uri=URI, manifest={"tool-1.1.tar.gz": content, "x-1": ""})
        grove.write("note", content + os.urandom(4).hex())
        grove.commit()
    return grove


@pytest.mark.parametrize(
    ("contents", "rules"),
    [
        (["a"], []),
        (["a", "a"], []),
        (["a", "b"], ["changed"]),  # of the same size
        (["a", "bbb"], ["changed"]),
        (["a", "b", "b"], ["changed"]),
        (["a", "b", "a"], []),  # put right
        (["a", "b", "c"], ["changed"]),
    ],
)
def test_changed_contents_are_found_in_the_history(
    tmp_path: Path, contents: list[str], rules: list[str]
) -> None:
    found = grown(tmp_path, *contents).found(Options(source_stale=False))
    assert [finding.rule for finding in found] == rules
    for finding in found:
        assert str(finding.place) == "app-misc/tool/Manifest:1"
        assert "bytes) became" in finding.sentence or "bytes became" in finding.sentence


Step = dict[str, str | None]  # what each package says of the file from one commit on


def _grown_in_packages(tmp_path: Path, steps: list[Step]) -> Grove:
    grove = Grove(tmp_path)
    for at, step in enumerate(steps):
        for package, content in step.items():
            if content is None:
                (tmp_path / f"app-misc/{package}/Manifest").unlink()
                (tmp_path / f"app-misc/{package}/{package}-1.1.ebuild").unlink()
            else:
                manifest = {"tool-1.1.tar.gz": content}
                grove.ebuild(uri=URI, package=f"app-misc/{package}", manifest=manifest)
        grove.write("note", str(at))
        grove.commit()
    return grove


@pytest.mark.parametrize(
    ("steps", "where"),
    [
        ([{"a": "1", "b": "22"}], []),  # a clash, and no change
        ([{"a": "1"}, {"b": "22"}], []),
        ([{"b": "1"}, {"a": "22"}], []),
        ([{"a": "1", "b": "1"}], []),
        ([{"a": "1", "b": "22"}, {"b": None}], []),  # the clash was ended
        ([{"a": "1", "b": "22"}, {"a": None}], []),
        ([{"a": "1", "b": "22"}, {"b": "333"}], ["b"]),
        ([{"a": "1", "b": "22"}, {"a": "333"}], ["a"]),
        ([{"a": "1", "b": "22"}, {"b": "1"}], ["b"]),
        ([{"a": "1"}, {"a": None, "b": "22"}], ["b"]),  # a package of another name
        ([{"b": "1"}, {"b": None, "a": "22"}], ["a"]),
        ([{"b": "1"}, {"b": None}, {"a": "1"}], []),
        ([{"a": "1"}, {"a": None, "b": "22"}, {"b": None, "c": "22"}], ["c"]),
        ([{"a": "1"}, {"a": "22"}, {"a": None, "b": "22"}], ["b"]),
        ([{"a": "1"}, {"a": "22"}, {"a": None, "b": "1"}], []),
    ],
)
def test_a_change_is_between_one_time_and_another(
    tmp_path: Path, steps: list[Step], where: list[str]
) -> None:
    grove = _grown_in_packages(tmp_path, steps)
    found = [one for one in grove.found(Options(source_stale=False)) if one.rule == "changed"]
    assert [str(one.place) for one in found] == [f"app-misc/{one}/Manifest:1" for one in where]


def test_other_hashes_are_no_other_content(tmp_path: Path) -> None:
    grove = grown(tmp_path, "a")
    line = f"DIST tool-1.1.tar.gz 1 SHA256 {'0' * 64}\n"
    now = (tmp_path / "app-misc/tool/Manifest").read_text()
    grove.write("app-misc/tool/Manifest", line)
    grove.commit()
    grove.write("app-misc/tool/Manifest", now)
    grove.commit()
    assert grove.rules(Options(source_stale=False)) == []


def test_a_change_that_is_not_committed_is_found(tmp_path: Path) -> None:
    grove = grown(tmp_path, "a")
    grove.ebuild(uri=URI, manifest={"tool-1.1.tar.gz": "b"})
    (finding,) = grove.found(Options(source_stale=False))
    assert (finding.rule, finding.subject) == ("changed", "tool-1.1.tar.gz")
    assert "working tree" in finding.sentence


@pytest.mark.parametrize(
    ("text", "version", "rules"),
    [
        ('SRC_URI="https://example.com/${PF}.tar.gz"', "1.1", ["name-revision"]),
        ('SRC_URI="https://example.com/tool-${PVR}.tar.gz"', "1.1-r1", ["name-revision"]),
        ('MY=${PN}-${PVR}\nMY_P=x${MY}\nSRC_URI+=" u/${MY_P}.tar"', "1.1", ["name-revision"]),
        ('B=${PR#r}\nSRC_URI="https://example.com/tool-${B}.tar.gz"', "1.1", ["name-revision"]),
        ('SRC_URI="https://example.com/${P}.tar.gz" # not ${PF}', "1.1", []),
        ('SRC_URI="https://example.com/${P}.tar.gz"\nS=${WORKDIR}/${PF}', "1.1", []),
        ('SRC_URI="https://example.com/${PN}/${PV}/${P}.tar.gz"\nD=/usr/share/doc/${PF}', "1", []),
    ],
)
def test_revisions_are_found_in_the_text(
    tmp_path: Path, text: str, version: str, rules: list[str]
) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}{text}\n", version=version)
    assert grove.rules() == rules


def test_a_link_is_not_found_again(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    text = f"{HEAD}src_unpack() {{ unzip x; }}\n"
    grove.ebuild(text, version="1.1-r1")
    grove.ebuild(text)
    link = tmp_path / "app-misc/tool/tool-1.1-r1.ebuild"
    link.unlink()
    link.symlink_to("tool-1.1.ebuild")
    assert [f.place.path for f in grove.found()] == ["app-misc/tool/tool-1.1.ebuild"]


def test_a_public_tree_follows_no_private_one(tmp_path: Path) -> None:
    private = Grove(tmp_path / "private", public=False)
    private.write("profiles/repo_name", "secret\n")
    grove = Grove(tmp_path / "public")
    grove.write("metadata/layout.conf", "masters = secret\n")
    master = Tree("secret", private.path, False)
    options = Options(masters=(master,), history=False, source_stale=False)
    assert grove.rules(options) == ["private-mirror"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ('rule = "unpack-paht"\nreason = "x"', "there is no rule unpack-paht"),
        ('reason = "x"', "the entry names no rule"),
        ('rule = "allow-list"\npath = "*"\nreason = "x"', "there is no rule allow-list"),
        ('rule = "binary"\npath = "x"', "the entry gives no reason"),
        ('rule = "binary"\npath = "x"\nreason = " "', "reason holds no text"),
        ('rule = "binary"\npath = "x"\nreason = 1', "reason holds no text"),
        ('rule = "binary"\nreason = "x"', "the entry would excuse all of binary"),
        ('rule = "binary"\nfile = "x"\nreason = "x"', "file is no key of an entry"),
    ],
)
def test_a_wrong_entry_is_a_finding(fields: str, sentence: str) -> None:
    found = parse_allow_list(f"# why\n\n[[allow]]\n{fields}\n", "allow.toml")
    assert [(f.sentence, str(f.place)) for f in found.findings] == [(sentence, "allow.toml:3")]
    assert not found.entries


@pytest.mark.parametrize("text", ["[allow", "allow = 1", "other = 1", "allow = [1]"])
def test_a_file_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="allow-list"):
        parse_allow_list(text, "allow.toml")


ALLOWED = """
[[allow]]
rule = "self-unpack"
path = "app-misc/*"
reason = "unpack cannot read it"
[[allow]]
rule = "binary"
subject = "nothing"
reason = "not there any more"
[[allow]]
rule = "changed"
subject = "x-1"
reason = "the history is not looked at"
"""


def test_an_allow_list_is_named_below_the_tree_that_it_lies_in(tmp_path: Path) -> None:
    file = tmp_path / "tree" / "metadata" / "allowed.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[[allow]]\nrule = "binary"\n')
    for tree, path in ((tmp_path / "tree", "metadata/allowed.toml"), (tmp_path / "x", str(file))):
        (finding,) = read_allow_list(file, tree).findings
        assert str(finding.place) == f"{path}:1"
    file.write_text("[allow")
    with pytest.raises(Fault, match=str(file)):
        read_allow_list(file, tmp_path / "tree")


def test_allowed_findings_are_put_apart(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}src_unpack() {{ unzip x; }}\n")
    report = grove.check(allowed=parse_allow_list(ALLOWED, "allow.toml"))
    assert (report.status, report.findings) == (0, ())
    assert [excused.reason for excused in report.excused] == ["unpack cannot read it"]
    unused = [remark for remark in report.remarks if remark.kind == "unused entry"]
    assert [str(remark.place) for remark in unused] == ["allow.toml:6"]


def test_the_outcome_is_written_in_three_ways(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    path = grove.ebuild(f"{HEAD}src_unpack() {{ unzip x; tar xf y; }}\n")
    allowed = parse_allow_list(
        '[[allow]]\nrule="self-unpack"\nsubject="tar"\nreason="r"\n[[allow]]\nrule="x"\n', "a.toml"
    )
    report = grove.check(allowed=allowed)
    assert report.status == 2
    text = to_text(report)
    assert f"{path}:2: unzip is run to unpack [self-unpack]\n    use" in text
    end = "2 findings (1 allow-list, 1 self-unpack), 1 allowed; 3 rules not looked at\n"
    assert text.endswith(end)
    document = json.loads(to_json(report))
    jsonschema.validate(document, SCHEMA)
    assert [entry["reason"] for entry in document["allowed"]] == ["r"]
    sarif = json.loads(to_sarif(report, RULES))
    jsonschema.validate(sarif, SARIF)
    results = sarif["runs"][0]["results"]
    assert [r["ruleId"] for r in results] == ["allow-list", "self-unpack", "self-unpack"]
    regions = [r["locations"][0]["physicalLocation"].get("region") for r in results]
    assert regions == [{"startLine": 5}, {"startLine": 2}, {"startLine": 2}]
    rules = sarif["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in results)
    assert results[2]["suppressions"] == [{"kind": "external", "justification": "r"}]


def test_paths_are_quoted_in_sarif() -> None:
    finding = Finding("binary", Place("a b/%ü"), "s", "h")
    report = Report("grove", 0, 0, (finding,), (), (), ("binary",))
    (result,) = json.loads(to_sarif(report, RULES))["runs"][0]["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%25%C3%BC", "uriBaseId": "TREE"}
    }

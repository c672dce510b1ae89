"""Where files come from: mirrors, buckets, RESTRICT."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.mirror.policy.buckets import Object, object_of

from .growing import HEAD, Grove

LOCAL = "gs://chromeos-localmirror/distfiles"
PRIVATE = "gs://chromeos-localmirror-private/distfiles"
HTTP = "https://commondatastorage.googleapis.com"


@pytest.mark.parametrize(
    ("uri", "restrict", "public", "rules"),
    [
        # a file of upstream's
        ("https://example.com/tool-1.1.tar.gz", "", True, []),
        ("https://example.com/tool-1.1.tar.gz", "mirror", True, ["restrict-external"]),
        ("https://example.com/tool-1.1.tar.gz", "nomirror", True, ["restrict-external"]),
        ("https://example.com/tool-1.1.tar.gz", "bindist mirror", False, ["restrict-external"]),
        ("https://example.com/tool-1.1.tar.gz", "strip test", True, []),
        ("mirror://gnu/tool-1.1.tar.gz", "mirror", True, ["restrict-external"]),
        ("cipd://tool/x:1 -> tool-1.1.zip", "", True, []),
        # archives of one's own
        (f"{LOCAL}/tool-1.1.tar.xz", "", True, []),
        (f"{LOCAL}//tool-1.1.tar.xz", "", True, []),
        (f"{HTTP}/chromeos-localmirror/distfiles/tool-1.1.tar.xz", "", True, []),
        (f"{LOCAL}/tool-1.1.tar.xz", "mirror", True, ["restrict-needless"]),
        (f"{LOCAL}/sub/tool-1.1.tar.xz", "", True, ["subdirectory"]),
        (f"{LOCAL}/tool-1.1.tar.gz", "", True, ["own-format"]),
        (f"{LOCAL}/tool-1.1.tbz2", "", True, ["own-format"]),
        (f"{LOCAL}/tool-1.1.zip", "", False, ["own-format"]),
        (f"{LOCAL}/tool-1.1.bin", "", True, []),
        (f"{LOCAL}/tool-1.1.txz", "", True, []),
        # private ones
        (f"{PRIVATE}/tool-1.1.tar.xz", "mirror", False, []),
        (f"{PRIVATE}/tool-1.1.tar.xz", "mirror", True, ["private-mirror"]),
        (f"{PRIVATE}/tool-1.1.tar.xz", "", False, ["private-unrestricted"]),
        ("gs://chromeos-binaries/HOME/bcs-x/y/tool-1.1.tbz2", "mirror", False, []),
        ("gs://chromeos-binaries/HOME/bcs-x/y/tool-1.1.tbz2", "mirror", True, ["private-mirror"]),
        (
            f"{HTTP}/chromeos-localmirror-private/distfiles/tool-1.1.tar.xz",
            "mirror",
            True,
            ["private-mirror"],
        ),
        # others
        ("gs://chromeos-prebuilt/x/tool-1.1.tar.xz", "", False, ["bucket"]),
        ("gs://chromeos-prebuilt/x/tool-1.1.tar.xz", "mirror", False, ["bucket"]),
        ("gs://tool-releases/tool-1.1.tar.xz", "", True, ["bucket"]),
        ("https://storage.googleapis.com/golang/go1.10.src.tar.gz", "", True, []),
        ("https://storage.googleapis.com/chromeos-prebuilt/tool-1.1.tar.gz", "", True, ["bucket"]),
        ("gs://chromeos-mirror/gentoo/distfiles/tool-1.1.tar.gz", "", True, ["mirror-direct"]),
    ],
)
def test_places_are_judged(
    tmp_path: Path, uri: str, restrict: str, public: bool, rules: list[str]
) -> None:
    grove = Grove(tmp_path, public=public)
    grove.ebuild(uri=uri, restrict=restrict)
    assert grove.rules() == rules


@pytest.mark.parametrize(
    ("uri", "public", "rules"),
    [
        ("mirror+https://example.com/tool-1.1.tar.gz", True, []),
        ("fetch+https://example.com/tool-1.1.tar.gz", True, ["restrict-external"]),
        (f"mirror+{PRIVATE}/tool-1.1.tar.xz", False, ["private-unrestricted"]),
    ],
)
def test_prefixes_lift_the_restriction(
    tmp_path: Path, uri: str, public: bool, rules: list[str]
) -> None:
    grove = Grove(tmp_path, public=public)
    grove.ebuild(uri=uri, restrict="mirror", eapi="8", manifest={uri.rpartition("/")[2]: ""})
    assert grove.rules() == rules


@pytest.mark.parametrize(
    ("version", "text", "rules"),
    [
        ("1.1", f'{HEAD}RESTRICT="mirror"\n', ["restrict-needless"]),
        ("9999", f'{HEAD}RESTRICT="mirror"\n', []),
        ("1.1", f"{HEAD}inherit some\n", []),  # an eclass sets it
    ],
)
def test_a_restriction_without_files(
    tmp_path: Path, version: str, text: str, rules: list[str]
) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(text, restrict="mirror", version=version)
    assert grove.rules() == rules


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f'src_unpack() {{ gsutil cp "{PRIVATE}/x" .; }}', True),
        (f"# {PRIVATE}/x", False),
        ('SRC_URI="gs://chromeos-localmirror-private-not/x"', False),
    ],
)
def test_code_that_names_a_private_mirror(tmp_path: Path, line: str, found: bool) -> None:
    grove = Grove(tmp_path)
    path = grove.ebuild(f"{HEAD}{line}\n")
    expected = [("private-mirror", f"{path}:2")] if found else []
    assert [(f.rule, str(f.place)) for f in grove.found()] == expected


def test_an_eclass_counts_only_while_its_addresses_are_unknown(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}inherit cros-cpfe\n")
    assert grove.rules() == []
    grove.write("app-misc/tool/tool-1.1.ebuild", f"{HEAD}inherit cros-cpfe\n\n")
    report = grove.check()
    assert [f.rule for f in report.findings] == ["private-mirror"]
    assert [r.kind for r in report.remarks] == ["unknown ebuild", "no history", "not looked at"]


@pytest.mark.parametrize(
    ("uri", "thing"),
    [
        ("gs://b/a/c", Object("b", "a/c", True)),
        ("https://storage.googleapis.com/b/c", Object("b", "c", False)),
        ("http://b.storage.googleapis.com/c", Object("b", "c", False)),
        ("https://storage.cloud.google.com/b/c", Object("b", "c", False)),
        ("https://example.com/storage.googleapis.com/b", None),
        ("https://[google/b", None),
        ("tool-1.1.tar.gz", None),
    ],
)
def test_buckets_are_known_in_any_dress(uri: str, thing: Object | None) -> None:
    assert object_of(uri) == thing

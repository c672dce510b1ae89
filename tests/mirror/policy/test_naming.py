"""Names that break the rules, and names that only look as if they did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror.policy.naming import (
    Named,
    dated,
    is_generic,
    problems_of_name,
    says_version,
    stem_of,
    suggestion,
)

TOOL = Named("tool", "1.1", 6)


@pytest.mark.parametrize(
    ("name", "owner", "problems"),
    [
        # versions
        ("tool.tar.gz", TOOL, ["name-version"]),
        ("ppp-dhcpc.tgz", Named("ppp", "2.4.6"), ["name-version"]),
        ("totp-cli_Linux_x86_64.tar.gz", TOOL, ["name-version"]),
        ("sqlite3.tar.gz", Named("sqlite", "3.40"), ["name-version"]),
        ("x264.tar.xz", Named("x264", "0.0.20"), ["name-version"]),
        ("news_flash_gtk4.tar.bz2", TOOL, ["name-version"]),
        ("tool-1.tar.gz", Named("tool", "1"), []),
        ("tool-v2.tar.gz", TOOL, []),
        ("unzip60.tar.gz", Named("unzip", "6.0"), []),
        ("go1.10.src.tar.gz", Named("go", "1.10"), []),
        ("jdk8u292-src.tar.gz", Named("openjdk", "8.292"), []),
        ("swconfig-14.07.tar.gz", TOOL, []),
        ("tool-20240101.tar.xz", TOOL, []),
        ("SPIRV-Tools-0b0454c42c6b6f6746434bd5c78c5c70f65d9c51.tar.gz", TOOL, []),
        ("eigen-2355b229ea4c.tar.gz", TOOL, []),
        ("github.com%2Fx%2Fy%2F@v%2Fv1.0.0.mod", TOOL, []),
        ("N-V-__8AABhrAQAQLLLGadghhPsdxTgBk9N9aLVOjXW3ay0V.tar.gz", TOOL, []),
        # revisions
        ("tool-1.1-r6.tar.gz", TOOL, ["name-revision"]),
        ("tool-1.1-r2.tar.gz", TOOL, ["name-revision"]),
        ("tool-1.1-r7.tar.gz", TOOL, []),
        ("tool-1.1-r6beta.tar.gz", TOOL, []),
        ("tool-11.1-r6.tar.gz", TOOL, []),
        ("lz4-r131.tar.gz", Named("lz4", "0_p131", 140), []),
        ("tool-r6.tar.gz", TOOL, []),
        ("tool-1.1-rc6.tar.gz", TOOL, []),
        # generic ones
        ("1.1.tar.gz", TOOL, ["name-generic"]),
        ("v1.1.tar.gz", TOOL, ["name-generic"]),
        ("b8897ead55b84ec4148e900882bff8336b38f939.tar.gz", TOOL, ["name-generic"]),
        ("files.tar.xz", TOOL, ["name-version", "name-generic"]),
        ("source-1.1.tar.xz", TOOL, ["name-generic"]),
        ("linux-amd64-1.1.tar.gz", TOOL, ["name-generic"]),
        ("vendor.tar.xz", TOOL, ["name-version", "name-generic"]),
        ("linux-4.14.tar.xz", Named("perf", "4.14"), []),
        ("file-5.45.tar.gz", Named("file", "5.45"), []),
        ("patch-2.7.6.tar.xz", Named("patch", "2.7.6"), []),
        ("image-0.25.8.crate", TOOL, []),
        ("windows_x86_64_gnu-0.52.6.crate", TOOL, []),
        ("system-test-tool-1.1.tar.gz", TOOL, []),
    ],
)  # fmt: skip
def test_names_are_judged_with_their_ebuild(name: str, owner: Named, problems: list[str]) -> None:
    assert list(problems_of_name(name, [owner])) == problems


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("ppp-dhcpc.tgz", "ppp-dhcpc-2.4.6.tgz"),
        ("v2.4.6.tar.gz", "ppp-2.4.6.tar.gz"),
        ("files.tar.xz", "ppp-files-2.4.6.tar.xz"),
        ("ppp.tar.xz", "ppp-2.4.6.tar.xz"),
        ("mock.h", "ppp-mock-2.4.6.h"),
        ("kops", "ppp-kops-2.4.6"),
    ],
)
def test_a_better_name_is_suggested(name: str, better: str) -> None:
    owner = Named("ppp", "2.4.6", 8)
    assert suggestion(name, owner) == better
    assert list(problems_of_name(better, [owner])) == []


def test_a_changed_file_gets_a_date() -> None:
    assert dated("tool-1.1.tar.gz", "2026-01-02") == "tool-1.1_20260102.tar.gz"


@given(st.text(min_size=1, max_size=60))
def test_any_name_has_an_answer(name: str) -> None:
    assert name.startswith(stem_of(name))
    assert isinstance(says_version(name, [TOOL]), bool)
    assert isinstance(is_generic(name, [TOOL]), bool)

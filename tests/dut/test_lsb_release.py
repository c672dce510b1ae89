"""The stateful lsb-release, merged so that all of its readers read the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.lsb_release import SERVER, UPDATES, judge, key_of, merge, read, stale_keys, take_back
from tests.dut import readers

WANTED = {UPDATES: "http://10.0.0.6:8080/update", SERVER: "http://10.0.0.6:8080"}
OWNED = {key.encode() for key in WANTED}

LINES = st.sampled_from(
    [
        b"", b" ", b"# comment", b"#\\", b"FOO=1", b"FOO=a\\", b"BAR=b \\", b" BAZ = 2 ", b"=x",
        b"no sign", b"more\\", b"/update", b"A=1\r", b"\r", b"\xff=\xfe", b"export FOO=1",
        b"CHROMEOS_AUSERVER=http://old", b"CHROMEOS_AUSERVER=x\\", b" CHROMEOS_AUSERVER = x",
        b"CHROMEOS_DEVSERVER=", b"CHROMEOS_DEVSERVER=y\r", b"CHROMEOS_DEVSERVER",
        b"#CHROMEOS_AUSERVER=z", b"CHROMEOS_AUSERVER_OLD=1", b"CHROMEOS_RELEASE_VERSION=0.0.0.0",
        b"CHROMEOS_AUSERVER=http://10.0.0.6:8080/update", b"\xef\xbb\xbf# mark",
    ]
) | st.binary(max_size=6).filter(lambda line: b"\n" not in line)  # fmt: skip
FILES = st.builds(
    lambda lines, end: b"\n".join(lines) + end,
    st.lists(LINES, max_size=12),
    st.sampled_from([b"", b"\n"]),
)


def foreign(content: bytes) -> list[bytes]:
    """The lines in which no reader could see a managed key."""
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    return [line for line in lines if key_of(line) not in OWNED]


def continues(before: bytes) -> bool:
    """Whether some line is joined with the next, so that taking one away means more."""
    return b"\\\n" in before


@given(FILES)
def test_both_readers_read_the_two_values(before: bytes) -> None:
    after = merge(before, WANTED)
    for key, value in WANTED.items():
        assert readers.update_engine(after)[key] == value
        assert readers.first_wins(after)[key] == value
        assert readers.every(after, key) == [f"{key}={value}"]
    assert read(after).items() >= WANTED.items()
    assert merge(after, WANTED) == after
    assert after.endswith(b"\n")


@given(FILES)
def test_other_lines_stay_byte_for_byte(before: bytes) -> None:
    after = merge(before, WANTED)
    if not continues(before):
        assert foreign(after) == foreign(before)
    here = [line for line in foreign(after) if line not in (b"#", b"#\\")]
    rest = iter(foreign(before))
    assert all(line in rest for line in here)  # in order, and nothing new


@given(FILES)
def test_what_update_engine_read_of_others_it_still_reads(before: bytes) -> None:
    if continues(before):
        return
    old, new = readers.update_engine(before), readers.update_engine(merge(before, WANTED))
    others = {key: value for key, value in old.items() if key not in WANTED}
    assert others.items() <= new.items()


@given(FILES)
def test_absent_keys_are_read_by_nobody(before: bytes) -> None:
    after = merge(before, dict.fromkeys(WANTED))
    assert not readers.first_wins(after).keys() & WANTED.keys()
    assert not readers.update_engine(after).keys() & WANTED.keys()
    assert merge(after, dict.fromkeys(WANTED)) == after


@given(FILES)
def test_what_was_written_is_taken_back_and_nothing_else(before: bytes) -> None:
    without = merge(before, dict.fromkeys(WANTED))
    written = {f"{key}={value}" for key, value in WANTED.items()}
    after = take_back(merge(without, WANTED), written)
    assert after.removesuffix(b"\n") == without.removesuffix(b"\n")
    assert take_back(before, {"X=1"}) == before


@given(FILES)
def test_our_reader_is_update_engines(before: bytes) -> None:
    ours = {k.encode("utf-8", "surrogateescape"): v.encode("utf-8", "surrogateescape")
            for k, v in read(before).items()}  # fmt: skip
    theirs = {k.encode("latin-1"): v.encode("latin-1")
              for k, v in readers.update_engine(before).items()}  # fmt: skip
    assert ours == theirs


@given(FILES)
def test_a_file_that_nothing_is_said_of_is_read_alike_by_all(before: bytes) -> None:
    if not judge(before):
        theirs = readers.first_wins(before)
        assignments = {key: value for key, value in theirs.items() if not key.startswith("#")}
        assert readers.update_engine(before) == assignments


@pytest.mark.parametrize("value", ["x ", " x", "x\\", "a\nb", "a\rb", "a\0b"])
def test_values_that_no_line_can_hold_are_refused(value: str) -> None:
    with pytest.raises(PlanError):
        merge(b"", {UPDATES: value})


def test_stale_keys_are_the_image_s_own_but_not_the_channel() -> None:
    content = b"CHROMEOS_RELEASE_VERSION=0.0.0.0\n CHROMEOS_RELEASE_BOARD = x\n" + (
        b"CHROMEOS_RELEASE_TRACK=dev-channel\n#CHROMEOS_RELEASE_NAME=x\nCHROMEOS_RELEASE_KEYSET=k\n"
    )
    assert stale_keys(content, {"CHROMEOS_RELEASE_KEYSET"}) == (
        "CHROMEOS_RELEASE_VERSION",
        "CHROMEOS_RELEASE_BOARD",
    )

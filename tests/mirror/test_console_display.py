"""How far a sync is: on a terminal, elsewhere, and in words for who else wants to know."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest

from crosprov.mirror import display, outcome
from crosprov.mirror.events import Failed, Fetched, Listed, Moved, Progress, Sourcing
from crosprov.mirror.report import Failure, Kind, Report, said_of

FAILURE = Failed(Failure("b-1.tar.gz", 400, Kind.CORRUPT, "what is offered is not it"))


class Terminal(StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


def progress(*, done: int, rate: float, files_done: int = 1, failed: int = 0) -> Progress:
    return Progress(
        files=4, files_done=files_done, total=4_000_000, done=done, rate=rate, failed=failed
    )


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Progress(), "nothing to do"),
        (progress(done=0, rate=0, files_done=0), "0 % of 4.0 MB, 0 of 4 files"),
        (progress(done=1_000_000, rate=100_000),
         "25 % of 4.0 MB, 1 of 4 files, 100.0 kB/s, 30 s left"),
        (progress(done=4_000_000, rate=5_000, files_done=4, failed=2),
         "100 % of 4.0 MB, 2 of 4 files, 5.0 kB/s, 2 failed"),
        (progress(done=5_000_000, rate=0), "100 % of 4.0 MB, 1 of 4 files"),
        (Progress(files=1), "100 % of 0 B, 0 of 1 file"),
    ],
)  # fmt: skip
def test_words(seen: Progress, words: str) -> None:
    assert display.word(seen) == words


def test_lines_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_SELDOM", 0.0)
    stream = StringIO()
    with display.display(stream) as events:
        events(Listed(2, 1000, 0, 0))
        events(Fetched("a-1.tar.gz", 600, "x"))
        events(FAILURE)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "2 files to fetch (1.0 kB)"
    assert "b-1.tar.gz: what is offered is not it" in lines
    assert lines[-1] == "60 % of 1.0 kB, 1 of 2 files, 1 failed"
    assert "\x1b" not in stream.getvalue()


def test_a_bar_on_a_terminal_that_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_OFTEN", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    with display.display(stream) as events:
        events(Listed(2, 1000, 0, 0))
        events(Moved(500))
        events(FAILURE)
    drawn = stream.getvalue().split("\r\x1b[K")
    assert "[############------------] 50 % of 1.0 kB, 0 of 2 files" in drawn
    assert all(len(line.rstrip("\n")) < 60 for line in drawn)
    assert drawn[-1] == ""


def test_ebuilds_are_counted_while_they_are_sourced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_OFTEN", 0.0)
    terminal, log = Terminal(), StringIO()
    for stream in (terminal, log):
        with display.display(stream) as events:
            events(Sourcing(0, 4))
            events(Sourcing(3, 4))
            events(Listed(0, 0, 0, 0))
    assert log.getvalue() == "4 ebuilds to source\nnothing to do\n"
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert "[##################------] 3 of 4 ebuilds sourced" in drawn
    assert "nothing to do" in drawn[-2] and drawn[-1] == ""


def test_a_digest_is_cut_where_a_report_follows() -> None:
    digest = "0123456789abcdef" * 8
    failure = Failure("b.tar", 400, Kind.CORRUPT, f"its content has\nSHA512 {digest} instead of 12")
    terminal, log = Terminal(), StringIO()
    for stream in (terminal, log):
        with display.display(stream) as events:
            events(Failed(failure))
    for stream in (terminal, log):
        told = stream.getvalue()
        assert "b.tar: its content has SHA512 0123456789ab… instead of 12\n" in told
        assert digest not in told


@pytest.mark.parametrize(
    ("name", "sentence", "said"),
    [
        ("a-1.tar", "it is gone", "a-1.tar: it is gone"),
        ("a-1.tar", "/m: a-1.tar cannot be read", "/m: a-1.tar cannot be read"),
        ("a-1.tar", "there is no space left for a-1.tar", "there is no space left for a-1.tar"),
        ("a-1.tar", "it is like a-1.tar.gz", "a-1.tar: it is like a-1.tar.gz"),
        ("a-1.tar", "/m/a-1.tar is a folder", "a-1.tar: /m/a-1.tar is a folder"),
        ("it", "it is gone", "it: it is gone"),
    ],
)
def test_a_file_is_named_once(name: str, sentence: str, said: str) -> None:
    assert said_of(name, sentence) == said


def test_the_first_reasons_of_a_sync_that_was_not_good() -> None:
    failures = tuple(Failure(f"{n}.tar", 4, Kind.CORRUPT, "it is not it") for n in range(5))
    report = Report(what="sync", mirror="m", began=0.0, ended=1.0, needed=5)
    assert list(outcome.reasons(report)) == []
    assert list(outcome.reasons(replace(report, failures=failures, stopped="no\nspace"))) == [
        "it gave up: no space",
        *(f"{n}.tar: it is not it" for n in range(3)),
        "and 2 further files",
    ]
    assert (
        list(outcome.reasons(replace(report, failures=failures[:3])))[-1] == "2.tar: it is not it"
    )


def test_who_else_wants_to_know_is_told_and_the_end_is_empty() -> None:
    told: list[str] = []
    with display.display(StringIO(), told.append) as events:
        events(Listed(1, 10, 0, 0))
        events(Moved(10))  # too soon after the other one
    assert told == ["0 % of 10 B, 0 of 1 file", ""]

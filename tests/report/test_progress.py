"""Progress: plain lines where nobody watches a terminal, a live display where somebody does."""

from __future__ import annotations

import io
import re

from crosprov.errors import Unreachable
from crosprov.execution import events
from crosprov.execution.events import Event, Outcome
from crosprov.planning.plan import Action, Change, Resource
from crosprov.report.progress import PlainLines, progress, word

CHANGE = Change(
    role="common", operation="test", action=Action.CREATE,
    resource=Resource(kind="file", name="/etc/x"),
)  # fmt: skip

STORY: list[tuple[Event, str | None]] = [
    (events.Connecting("a"), None),
    (events.WaveOpened("a", 1), None),
    (events.ChangeStarted("a", CHANGE, 1, 3), "1/3 create file /etc/x"),
    (events.ChangeProgress("a", CHANGE, "35 %"), "create file /etc/x: 35 %"),
    (events.ChangeDone("a", CHANGE, 1, 3), None),
    (events.Rebooting("a", CHANGE, 0.1, 300), "reboots, and is waited for, 300 s at most"),
    (events.Rebooted("a", 31.5), "back after 32 s"),
    (events.Sending("a", "/big", 0, 2_500_000), "sending /big (2.5 MB)"),
    (events.Waiting("a", "port 80, GET /"), "waiting until it is ready: port 80, GET /"),
    (events.Verified("a", ()), "verified: nothing left to do"),
    (events.Verified("a", (CHANGE,)), "verified: 1 change left"),
    (events.Failed("b", Unreachable("b", "no answer")), "failed: no answer"),
    (events.Blocked("c", "b"), "left untouched, because it needs b"),
    (events.Finished("a", Outcome.CHANGED), "changed"),
    (events.Finished("a", Outcome.UNCHANGED), None),
]


def test_each_event_has_its_words() -> None:
    assert [word(event) for event, _ in STORY] == [text for _, text in STORY]


def test_plain_lines_name_time_and_host() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for event, _ in STORY:
        lines(event)
    written = stream.getvalue().splitlines()
    assert len(written) == sum(text is not None for _, text in STORY)
    assert all(re.match(r"\[ *\d+\.\d s\] [abc]: ", line) for line in written)


def test_what_repeats_is_said_once() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for _ in range(5):
        lines(events.Waiting("a", "port 80, GET /"))
    assert len(stream.getvalue().splitlines()) == 1


def written(*told: tuple[float, Event]) -> list[str]:
    """Give the lines that events make, each at a time of its own, in seconds."""
    stream, now = io.StringIO(), 0.0

    def clock() -> float:
        return now

    lines = PlainLines(stream, clock)
    for now, event in told:  # noqa: B007
        lines(event)
    return [line.split(": ", 1)[1] for line in stream.getvalue().splitlines()]


def said(text: str, host: str = "a") -> Event:
    return events.ChangeProgress(host, CHANGE, text)


def test_progress_is_written_now_and_then() -> None:
    told = written(
        (0.0, said("1 %")), (0.5, said("2 %")), (1.0, said("5 %", "b")), (2.1, said("3 %")),
        (4.2, said("3 %")), (4.3, said("4 %")), (4.4, said("5 %")),
    )  # fmt: skip
    assert told == [f"create file /etc/x: {n} %" for n in (1, 5, 3, 4)]


def test_the_first_words_of_a_change_are_written_at_once() -> None:
    told = written(
        (0.0, said("99 %")), (0.1, events.ChangeStarted("a", CHANGE, 2, 2)), (0.2, said("1 %"))
    )
    assert told[-1] == "create file /etc/x: 1 %"


def test_a_reboot_is_not_told_each_second() -> None:
    def waits(passed: float) -> tuple[float, Event]:
        return passed, events.Rebooting("a", CHANGE, passed, 300)

    told = written(*(waits(float(n)) for n in range(40)), (41, events.Rebooted("a", 41)), waits(42))
    assert told == [
        "reboots, and is waited for, 300 s at most",
        "reboots: waiting for 15 s of 300 s",
        "reboots: waiting for 30 s of 300 s",
        "back after 41 s",
        "reboots: waiting for 42 s of 300 s",
    ]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_change_under_way() -> None:
    terminal = Terminal()
    with progress(terminal, 2, "applying") as emit:
        for event, _ in STORY:
            emit(event)
    assert "failed: no answer" in terminal.getvalue()


def test_quiet_is_quiet() -> None:
    stream = io.StringIO()
    with progress(stream, 2, "applying", quiet=True) as emit:
        emit(STORY[2][0])
    assert stream.getvalue() == ""

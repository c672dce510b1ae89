"""How far a transfer is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
import time
from itertools import count

import pytest

from crosprov.cli.transfer import Transfer

SHOWN = {
    # A terminal has one line that is written over; nothing of it is left at the end.
    True: "\r\x1b[K2.0 kB of 3.0 kB\r\x1b[Ksaid\n\r\x1b[K2.5 kB\r\x1b[K",
    False: "2.0 kB of 3.0 kB\nsaid\n2.5 kB\n",
}


@pytest.mark.parametrize("live", [True, False])
def test_how_far_it_is_shows_at_times(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = count(0, 3600)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(hours)))
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: live)
    monkeypatch.setattr(sys, "stderr", stderr)
    with Transfer() as shown:
        shown.moved(2000, 3000)
        shown.say("said")
        shown.moved(2500, None)
    assert stderr.getvalue() == SHOWN[live]


def test_what_comes_fast_does_not_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with Transfer() as shown:
        for done in range(1000):
            shown.moved(done, 1000)
    assert stderr.getvalue() == ""

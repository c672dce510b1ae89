"""A sync that ended without a report: when, why, and where that is kept for `status`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosprov.mirror.config import Config
from crosprov.mirror.holding import Busy
from crosprov.mirror.model import Fault
from crosprov.mirror.report import shortened

GAVE_UP = "gave-up.json"
REASONS = "reasons"  # what a shell reads; see outcome.py
VERSION = 1


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Say when a sync gave up, in seconds since 1970, and why.

    One that was `interrupted`, by the keyboard or a signal, had no reason of its own.
    """

    ended: float
    sentence: str
    hint: str | None = None
    interrupted: bool = False

    def lines(self) -> Iterator[str]:
        """Say it in lines, as the reasons of a sync that was not good."""
        said = "it was interrupted" if self.interrupted else "it gave up"
        yield f"{said}: {shortened(self.sentence)}"
        if self.hint:
            yield f"hint: {shortened(self.hint)}"


@contextmanager
def remembered(config: Config) -> Iterator[None]:
    """Note why the sync in a block gave up; what another sync keeps away did not begin.

    That it cannot be noted is no reason to lose what is raised.
    """
    try:
        yield
    except Busy:
        raise
    except Fault as fault:
        _keep(config, GaveUp(time.time(), str(fault), fault.hint))
        raise
    except KeyboardInterrupt:
        sentence = "the next one goes on from where it was"
        _keep(config, GaveUp(time.time(), sentence, interrupted=True))
        raise
    except Exception as error:
        sentence = f"crosprov has a defect ({type(error).__name__}), and its output tells where"
        _keep(config, GaveUp(time.time(), sentence))
        raise


def gave_up(state: Path) -> GaveUp | None:
    """Tell why the last sync gave up; None when it ended with a report, or nothing can be read."""
    try:
        told = json.loads((state / GAVE_UP).read_text(encoding="utf-8"))
        if told.pop("version") != VERSION:
            return None
        return GaveUp(**told)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def forget(state: Path) -> None:
    """Forget it, since a sync ended with a report. Raises OSError."""
    (state / GAVE_UP).unlink(missing_ok=True)


def replace(path: Path, text: str) -> None:
    """Write a small file of the state all at once. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _keep(config: Config, ending: GaveUp) -> None:
    told: dict[str, Any] = {"version": VERSION, **asdict(ending)}
    with suppress(OSError, Fault):
        state = config.state_folder()
        replace(state / GAVE_UP, json.dumps(told) + "\n")
        replace(state / REASONS, "".join(f"{line}\n" for line in ending.lines()))

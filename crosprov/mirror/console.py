"""The program: answers on standard output, progress and errors on the other one, exit statuses."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

from crosprov.mirror.commands import COMMANDS
from crosprov.mirror.commands.answers import FAULT, Context, say_fault
from crosprov.mirror.display import display
from crosprov.mirror.model import Fault
from crosprov.mirror.options import WRONG_USAGE, options_of
from crosprov.mirror.selection import Inventories, WrongUsage

INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141


class Terminated(KeyboardInterrupt):
    """The process was told to end."""


def main(
    words: Sequence[str] | None = None,
    program: str = "python -m crosprov.mirror",
    inventories: Inventories | None = None,
) -> int:
    """Run a command line; gives the exit status.

    `inventories` reads a mirror out of an inventory, where there are such. Raises SystemExit
    for --help and for words that make no command.
    """
    given = options_of(sys.argv[1:] if words is None else words, program)
    context = Context(inventories, _say, partial(display, sys.stderr))
    try:
        with _ended_by_signals():
            answer = COMMANDS[given.command](given, context)
            sys.stdout.write(answer.text)
            sys.stdout.flush()
    except WrongUsage as error:
        _say(f"{program} {given.command}: {error} (--help tells more)")
        return WRONG_USAGE
    except Fault as fault:
        say_fault(_say, fault)
        return FAULT
    except Terminated as end:
        _say(str(end) or "ended by a signal; the next run goes on from here")
        return TERMINATED
    except KeyboardInterrupt as stop:
        _say(str(stop) or "stopped by the keyboard; the next run goes on from here")
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return answer.status


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end a block as Ctrl-C does; only the main thread hears of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

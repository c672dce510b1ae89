"""Failing well: one sentence, a hint, an exit status, and no traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer

from crosprov.errors import CrosprovError, InventoryError, UsageError

INTERRUPTED = 130
BROKEN_PIPE = 141
DEFECT = 70
DEBUG = "CROSPROV_DEBUG"

# typer shows these two classes only through the classes that derive from them.
WrongArguments = typer.BadParameter.__mro__[1]
WrongCommandLine = typer.BadParameter.__mro__[2]


def guarded(program: Callable[[], object]) -> int:
    """Run a program and return its exit status; whatever it raises is told on stderr."""
    try:
        status = program()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except BaseException as error:
        return _told(error)
    return status if isinstance(status, int) else 0


def _told(error: BaseException) -> int:
    match error:
        case InventoryError():
            _tell_problems(error)
            return error.exit_code
        case CrosprovError():
            tell(error.message, error.hint)
            return error.exit_code
        case KeyboardInterrupt() | typer.Abort():
            tell("stopped by the keyboard", "the next run starts from what it finds")
            return INTERRUPTED
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case typer.Exit():
            return error.exit_code
    if isinstance(error, WrongCommandLine):
        return _tell_usage(error)
    return _tell_defect(error)


def tell(message: str, hint: str | None = None) -> None:
    """Print an error and its hint on stderr."""
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)


def _tell_problems(error: InventoryError) -> None:
    for problem in error.problems:
        typer.echo(str(problem), err=True)
        if problem.hint:
            typer.echo(f"  hint: {problem.hint}", err=True)
    tell(error.message, error.hint)


def _tell_usage(error: BaseException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "crosprov"
    message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    tell(message[:1].lower() + message[1:], f"{command} --help tells how")
    return UsageError.exit_code


def _tell_defect(error: BaseException) -> int:
    said = " ".join(str(error).split())
    name = type(error).__name__
    message = f"crosprov has a defect: {name}: {said}" if said else f"crosprov has a defect: {name}"
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
        tell(message, "please report it to the maintainers, with the lines above")
    else:
        tell(message, f"please report it to the maintainers; {DEBUG}=1 shows where it happened")
    return DEFECT

"""The command line of the mirror's program: its parser, and what it says of wrong words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from crosprov.mirror.vocabulary import COMMANDS, EPILOG, ROWS, Row

WRONG_USAGE = 64


def options_of(words: Sequence[str], program: str = "mirror") -> argparse.Namespace:
    """Read a command line; `command` names the sub-command.

    Raises SystemExit: 64 with a sentence on stderr when it is wrong, 0 after --help.
    """
    parser = _parser(program)
    first = words[0] if words else ""
    if first not in COMMANDS and not first.startswith("-"):
        near = get_close_matches(first, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f": {', '.join(COMMANDS)}"
        parser.error(f"there is no command {first}{hint}" if first else f"name a command{hint}")
    given, rest = parser.parse_known_args(list(words))
    if rest:
        parser.error(_unknown(rest[0], given.command))
    return given


class _Parser(argparse.ArgumentParser):
    """Say what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (--help tells more)\n")


def _unknown(word: str, command: str) -> str:
    if not word.startswith("-"):
        return f"the word {word!r} belongs to no option"
    known = [name for names, _ in _rows(command) for name in names.split() if name[0] == "-"]
    near = get_close_matches(word.partition("=")[0], known, n=1)
    return f"{command} has no option {word}" + (f"; did you mean {near[0]}?" if near else "")


def _parser(program: str) -> argparse.ArgumentParser:
    look: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = _Parser(
        prog=program,
        description="Archive mirrors of ebuild trees: synced, verified, never changed.",
        epilog=EPILOG.format(program=program),
        **look,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="Commands", parser_class=_Parser
    )
    for name, (text, examples) in COMMANDS.items():
        lines = "".join(f"  {program} {line}\n" for line in examples)
        epilog = f"examples:\n{lines}"
        one = commands.add_parser(name, help=text, description=text, epilog=epilog, **look)
        for names, settings in _rows(name):
            one.add_argument(*names.split(), **settings)
    return parser


def _rows(command: str) -> list[Row]:
    return [row for group in ROWS[command] for row in group]

"""The command line. `main` is the program."""

from __future__ import annotations

import sys


def main() -> None:
    """Run crosprov with the arguments of the process, and leave with its exit status."""
    from crosprov.cli.app import run

    sys.exit(run(sys.argv[1:]))

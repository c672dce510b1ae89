"""The command line. `main` is the program."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run crosprov with the arguments of the process, and leave with its exit status."""
    # A short run makes many objects that stay, and looking through them costs a tenth of it.
    gc.set_threshold(50_000, 20, 20)
    from crosprov.cli.app import run

    sys.exit(run(sys.argv[1:]))

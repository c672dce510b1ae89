"""crosprov mirror"""

from __future__ import annotations

from importlib.util import find_spec

import typer

from crosprov.errors import CrosprovError

EXAMPLES = """\
Examples:

\b
  crosprov mirror sync lab.yml gentoo
  crosprov mirror check overlay
  crosprov mirror --help
"""

# All words are the mirror's: its program has one parser, which runs without crosprov as well.
CONTEXT = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}
WITHOUT_LIBRARIES = frozenset({"pack", "status"})


def mirror(context: typer.Context) -> None:
    """Sync, verify and check archive mirrors, and publish to them."""
    from crosprov.mirror.options import options_of

    program = "crosprov mirror"
    given = options_of(context.args, program)  # --help and wrong words need no library
    missing = [name for name in ("pkgcore", "requests") if find_spec(name) is None]
    if missing and given.command not in WITHOUT_LIBRARIES:
        raise CrosprovError(
            f"the mirror's libraries are not installed: {missing[0]} is missing",
            hint="pip install 'crosprov[mirror]'; in a checkout: "
            ".venv/bin/pip install -e '.[mirror]'",
        )
    from crosprov.mirror.console import main
    from crosprov.mirroring import InventoryMirrors

    raise typer.Exit(main(context.args, program, InventoryMirrors()))

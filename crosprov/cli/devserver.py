"""crosprov devserver"""

from __future__ import annotations

import typer

from crosprov.errors import CrosprovError

EXAMPLES = """\
Examples:

\b
  crosprov devserver --static_dir /srv/static --port 8080
  crosprov devserver --help
"""

# All words are the dev server's: it has one parser, which runs without crosprov as well.
CONTEXT = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}


def devserver(context: typer.Context) -> None:
    """Serve builds of ChromiumOS to devices, and stage them from Google Storage."""
    from crosprov.devserver.options import options_of

    program = "crosprov devserver"
    options_of(context.args, program)  # --help and wrong words need nothing that may be missing
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        from google.cloud import storage  # noqa: F401
    except ImportError as error:
        raise CrosprovError(
            f"the dev server's libraries are not installed: {error.name} is missing",
            hint="pip install 'crosprov[devserver]'",
        ) from None
    from crosprov.devserver.__main__ import main

    raise typer.Exit(main(context.args, program))

"""The typer application: every command is a module here that is registered by its name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from crosprov import __version__
from crosprov.cli.failure import guarded

# A command is the function of its module's name; a module with `app` is a group of them.
# `EXAMPLES` in a module is shown below its help. This is also the order of the help.
COMMANDS = (
    "init", "validate", "schema", "graph", "plan", "apply", "status", "rehearse", "twin",
    "devserver", "mirror", "factory", "wheelhouse",
)  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Run the program with these arguments and return its exit status; never raises."""
    words = list(arguments) or ["--help"]
    # What is not asked for is not built: that is felt in a program that takes half a second.
    named = (words[0],) if words[0] in COMMANDS else COMMANDS
    command = typer.main.get_command(_application(named))

    def program() -> object:
        # `command.main` would make a bare exit status of Ctrl-C, without a sentence.
        with command.make_context("crosprov", words) as context:
            return command.invoke(context)

    return guarded(program)


def _application(commands: Sequence[str]) -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(epilog=_EPILOG)(_program)
    for name in commands:
        module = import_module(f"crosprov.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            examples = getattr(module, "EXAMPLES", None)
            settings = getattr(module, "CONTEXT", None)
            app.command(name, epilog=examples, context_settings=settings)(getattr(module, name))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crosprov {__version__}")
        raise typer.Exit()


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Provision a ChromiumOS lab from one inventory: an exact plan, the change, the proof."""


_EPILOG = """\
A way to begin:

\b
  crosprov init my-lab                     write an inventory to start from
  crosprov validate my-lab/lab.yml         tell what is wrong with it
  crosprov COMMAND --help                  what a command does, with examples
"""

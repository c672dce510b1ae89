"""Render Jinja templates, strictly: a name that is not given is an error, not an empty text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)

from crosprov.errors import PlanError


def render(name: str, **values: object) -> str:
    """Render a template of crosprov: `render("mirror/site.conf.j2", port=80)`.

    Raises PlanError, with the template's name and line, when it cannot be rendered.
    """
    return _render(_packaged(), name, values, name)


def render_file(path: Path, **values: object) -> str:
    """Render a template of the operator's; it may include its neighbours.

    Raises PlanError, with the file and line, when it is missing or cannot be rendered.
    """
    return _render(_neighbours(path.parent), path.name, values, str(path))


def systemd_word(value: str) -> str:
    """Quote one word of a setting in a unit file."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def systemd_argument(value: str) -> str:
    """Quote one argument of an Exec line in a unit file, where $ begins a variable too."""
    return systemd_word(value).replace("$", "$$")


def nginx_word(value: str) -> str:
    """Quote one word of an nginx configuration; raises PlanError for $, which it cannot hold."""
    if "$" in value:
        raise PlanError(
            f"{value} holds a $, which a configuration of nginx cannot express",
            hint="choose a path without it",
        )
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@cache
def _packaged() -> Environment:
    return _environment(PackageLoader("crosprov.templates", ""))


@cache  # a template is compiled once for all hosts; one that was edited is compiled anew
def _neighbours(folder: Path) -> Environment:
    return _environment(FileSystemLoader(folder))


def _environment(loader: BaseLoader) -> Environment:
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    for quote in (systemd_word, systemd_argument, nginx_word):
        environment.filters[quote.__name__] = quote
    return environment


def _render(environment: Environment, name: str, values: dict[str, object], shown: str) -> str:
    try:
        return environment.get_template(name).render(values)
    except TemplateNotFound as error:
        raise PlanError(f"there is no template {error.name} (for {shown})") from None
    except TemplateSyntaxError as error:
        where = f"{shown}:{error.lineno}"
        raise PlanError(f"{where}: the template is wrong: {error.message}") from None
    except TemplateError as error:
        raise PlanError(
            f"{shown}:{_line(error)}: the template cannot be rendered: {error.message}",
            hint="give what it asks for, or take it out",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PlanError(f"{shown} cannot be read: {reason}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise PlanError(f"{shown}:{_line(error)}: the template failed: {error}") from None


def _line(error: Exception) -> int:
    """Find the line of the template where it failed; Jinja gives it as a frame's line."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_name in ("top-level template code", "root") or (
            trace.tb_frame.f_globals.get("__jinja_template__") is not None
        ):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

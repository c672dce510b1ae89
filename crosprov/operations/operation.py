"""Declare operations with the types of their own arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, cast

import pyinfra
from pyinfra.api import operation as pyinfra_operation
from pyinfra.api.operation import OperationMeta

from crosprov.operations.note import Commands

Arguments = ParamSpec("Arguments")


def operation(function: Callable[Arguments, Commands]) -> Callable[Arguments, OperationMeta]:
    """Make a generator of commands an operation of pyinfra.

    Pyinfra's own types put the arguments that all operations share before ours, so that no
    type checker lets ours be given by place. What is called `name` must be given by place:
    pyinfra takes the keyword `name` for the operation itself.

    In pyinfra's own program an operation without a name is called after its function and its
    first argument, like `file /etc/motd`. Pyinfra would show all arguments, with the whole content
    of a file.
    """
    made = cast(Callable[Arguments, OperationMeta], pyinfra_operation()(function))

    @wraps(made)
    def named(*args: Arguments.args, **kwargs: Arguments.kwargs) -> OperationMeta:
        if pyinfra.is_cli and "name" not in kwargs:
            first = next(iter((*args, *kwargs.values())), "")
            kwargs["name"] = f"{function.__name__} {_words(first)}".rstrip()
        return made(*args, **kwargs)

    return named


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

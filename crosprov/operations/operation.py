"""Declare operations with the types of their own arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, cast

from pyinfra.api import operation as pyinfra_operation
from pyinfra.api.operation import OperationMeta

from crosprov.operations.note import Commands

Arguments = ParamSpec("Arguments")


def operation(function: Callable[Arguments, Commands]) -> Callable[Arguments, OperationMeta]:
    """Make a generator of commands an operation of pyinfra.

    Pyinfra's own types put the arguments that all operations share before ours, so that no
    type checker lets ours be given by place. What is called `name` must be given by place:
    pyinfra takes the keyword `name` for the operation itself.
    """
    return cast(Callable[Arguments, OperationMeta], pyinfra_operation()(function))

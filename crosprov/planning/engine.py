"""Drive pyinfra's engine without I/O: the only module that knows it.

`draw` runs the deploys of one host against answers that were gathered before. Nothing is sent
anywhere: a question without an answer is noted and the operation that asked it is given up, to
be drawn anew when the answer is there. Operations have no effect before their commands are
executed, so this may be repeated freely.

Facts of pyinfra 3.10 that shape this module:
- its `state` is global to the process, so one host is drawn at a time (`_engine`);
- `ctx_state.use` and `ctx_host.use` do not restore after an exception, so both are reset here;
- the arguments that all operations share are worked out anew from type hints for each
  operation and each fact, which is most of the time of a plan, so the hints are kept.
"""

from __future__ import annotations

import base64
import copy
import functools
import logging
import posixpath
import re
import shlex
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pyinfra import logger as pyinfra_logger
from pyinfra.api import Config, Host, Inventory, State, StringCommand
from pyinfra.api import arguments as pyinfra_arguments
from pyinfra.api.command import FileUploadCommand, PyinfraCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.facts import FactBase, ShortFactBase
from pyinfra.api.host import HostData
from pyinfra.api.state import StateOperationHostData, StateStage
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command
from pyinfra.context import ctx_host, ctx_state

from crosprov.errors import CrosprovError, NotPlannable, PlanError
from crosprov.operations import effects
from crosprov.operations.note import Content, LocalFile, Noted
from crosprov.operations.reboots import RebootCommand
from crosprov.planning.batch import Answers
from crosprov.planning.plan import Action, Change, Reboot, Resource, Send, Shell, Step, Write
from crosprov.secrets import vault

_engine = threading.Lock()
_UNPLANNABLE_ARGUMENTS = ("_get_pty", "_stdin", "_retries", "_sudo_password", "_su_password")
_WRAPPING = ("_sudo", "_sudo_user", "_su_user", "_doas", "_dzdo", "_chdir", "_env")
_AS_ROOT = "log in as root, or set ssh.sudo: true"
_PROGRAMS = "hosts need the usual small programs: stat, sha256sum, base64, readlink, sed, awk"
_NOT_FOR_THE_SHELL = {"_success_exit_codes", "_timeout", "_get_pty", "_stdin"}

pyinfra_arguments.all_global_arguments = functools.cache(pyinfra_arguments.all_global_arguments)


@dataclass(frozen=True, slots=True)
class RoleDeploy:
    """One role's deploy of one host, with its arguments bound."""

    role: str
    call: Callable[[], object]


@dataclass(slots=True)
class Drawing:
    """What one pass over a host's deploys found out."""

    changes: list[Change] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)  # command -> the fact, in words
    missing: list[str] = field(default_factory=list)
    idle: set[str] = field(default_factory=set)  # commands whose answers decide nothing
    notices: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)


class _Miss(BaseException):
    """No answer to this question yet. No `except Exception` of an operation may catch it."""


class _Connector(BaseConnector):
    """Answer from what was observed; note what was not."""

    answers: Answers
    drawing: Drawing
    asking: str | None = None
    decides: bool = True
    failed: str | None = None

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield name, {}, []

    def run_shell_command(
        self, command: StringCommand | str, print_output: bool, print_input: bool, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        if self.asking is None:
            raise NotPlannable(
                f"it runs `{command}` on the host while it is prepared",
                hint="read the host with a fact and change it with commands",
            )
        line = _shell_line(command, arguments) if arguments else str(command)
        self.drawing.asked.setdefault(line, self.asking)
        if not self.decides:
            self.drawing.idle.add(line)
        answer = self.answers.get(line)
        if answer is None:
            self.drawing.missing.append(line)
            raise _Miss
        succeeded = answer.status in (arguments.get("_success_exit_codes") or [0])
        if not succeeded:
            self.failed = f"{self.asking}: {_last_line(answer.stderr) or answer.status}"
        return succeeded, CommandOutput(
            [*_lines("stdout", answer.stdout), *_lines("stderr", answer.stderr)]
        )

    def put_file(self, *_: Any, **__: Any) -> bool:
        raise NotPlannable("it uploads a file while it is prepared")

    def get_file(self, *_: Any, **__: Any) -> bool:
        raise NotPlannable("it downloads a file while it is prepared")


@contextmanager
def _quiet() -> Iterator[None]:
    """Let pyinfra not log: our own errors say it better, and its own program goes on talking."""
    before = pyinfra_logger.level
    pyinfra_logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        pyinfra_logger.setLevel(before)


class _Data(HostData):
    """A host's data in one place; pyinfra's own looks in five, thirty times an operation."""

    def __init__(self, host: Host, data: Mapping[str, object]) -> None:
        super().__init__(host)
        self.__dict__["known"] = data

    def __getattr__(self, key: str) -> Any:
        for data in (self.override_datas, self.known, self.host.get_deploy_data()):
            if key in data:
                return copy.copy(data[key])
        raise AttributeError(key)


class _Inventory(Inventory):
    """An inventory of one host; pyinfra's own looks for plugins of connectors each time."""

    def make_hosts_and_groups(self, names: Any, groups: Any) -> None:
        self.hosts = {}


def draw(
    name: str, data: Mapping[str, object], deploys: Sequence[RoleDeploy], answers: Answers
) -> Drawing:
    """Run the deploys of a host against the answers at hand.

    The changes are final when nothing is missing. Raises NotPlannable for what decides only
    while it runs, PlanError when a deploy is wrong about its host.
    """
    drawing = Drawing()
    with _engine, _quiet():
        host = _host(name, data, answers, drawing)
        try:
            ctx_state.set(host.state)
            ctx_host.set(host)
            with_roles = _register(host, deploys, drawing)
            _drain(host, with_roles, drawing)
            drawing.notices = list(effects.effects().notices)
            drawing.about = {k: vault.mask(v) for k, v in effects.effects().about.items()}
        finally:
            effects.forget(host)
            ctx_state.reset()
            ctx_host.reset()
    return drawing


def _host(name: str, data: Mapping[str, object], answers: Answers, drawing: Drawing) -> Host:
    inventory = _Inventory(([], {}))
    host = Host(name, inventory, [], connector_cls=_Connector)
    host.data = _Data(host, data)
    inventory.hosts[name] = host
    state = State(inventory, Config(PARALLEL=1, TEMP_DIR="/tmp"), check_for_changes=False)
    state.set_stage(StateStage.Prepare)
    state.activate_host(host)
    host.connected = True
    connector = host.connector
    assert isinstance(connector, _Connector)
    connector.answers = answers
    connector.drawing = drawing
    _label_facts(host, connector)
    return host


def _label_facts(host: Host, connector: _Connector) -> None:
    """Let the connector know which fact asks, for messages and for the list of observations.

    A fact of ours that is asked as root needs nothing of what pyinfra works out for each call.
    """
    get_fact = host.get_fact

    def labelled(fact: type[FactBase[Any] | ShortFactBase[Any]], *args: Any, **kwargs: Any) -> Any:
        outer = connector.asking, connector.decides
        connector.asking, connector.decides = (
            _words(fact, args, kwargs), getattr(fact, "decides", True),
        )  # fmt: skip
        try:
            if fact.__module__.startswith("crosprov.facts") and not _wrapped(host):
                return _own_fact(connector, fact, args, kwargs)
            return get_fact(fact, *args, **kwargs)
        finally:
            connector.asking, connector.decides = outer

    host.get_fact = labelled  # type: ignore[method-assign,assignment]


def _wrapped(host: Host) -> bool:
    """Tell whether the operation under way asks for another user, folder or environment."""
    arguments: Mapping[str, Any] = host.current_op_global_arguments or {}
    return any(arguments.get(key) for key in _WRAPPING)


def _own_fact(
    connector: _Connector, fact: type[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    asked = fact()
    succeeded, output = connector.run_shell_command(asked.command(*args, **kwargs), False, False)
    if not succeeded:
        raise PyinfraError(connector.failed)
    lines = output.stdout_lines
    return asked.process(lines) if lines else asked.default()


def _words(fact: type[Any], args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Word a fact by its title and the first of its arguments, which says what it is about."""
    about = [str(value) for value in (*args, *kwargs.values()) if isinstance(value, str | int)]
    return " ".join([getattr(fact, "title", fact.__name__), *about[:1]])


def _register(host: Host, deploys: Sequence[RoleDeploy], drawing: Drawing) -> dict[str, str]:
    """Call the deploys, which registers their operations; give the role of each operation."""
    roles: dict[str, str] = {}
    for deploy in deploys:
        try:
            deploy.call()
        except _Miss:
            pass  # what it did before that still counts
        except Exception as error:
            if not drawing.missing:
                raise _sentence(host, deploy.role, "its deploy", error) from error
        for operation in host.op_hash_order[len(roles) :]:
            roles[operation] = deploy.role
    return roles


def _drain(host: Host, roles: Mapping[str, str], drawing: Drawing) -> None:
    """Draw the commands of each operation, in order; an operation sees those before it as done.

    An error counts only when nothing is missing: an operation may be wrong about what an
    earlier one, still without its answers, will have done.
    """
    first_error: CrosprovError | None = None
    for operation in host.op_hash_order:
        registered = host.state.ops[host][operation]
        name = min(host.state.op_meta[operation].names)
        try:
            commands = list(registered.command_generator()) if _wanted(registered) else []
            registered.operation_meta.set_complete(True, commands, CommandOutput([]))
            if commands:
                drawing.changes.append(_change(roles[operation], name, registered, commands))
        except _Miss:
            continue
        except Exception as error:
            what = f"operation `{name}`"
            first_error = first_error or _sentence(host, roles[operation], what, error)
    if first_error is not None and not drawing.missing:
        raise first_error


def _wanted(registered: StateOperationHostData) -> bool:
    """Evaluate `_if` as of now in the plan: an earlier operation counts as carried out."""
    conditions = registered.global_arguments.get("_if") or []
    if callable(conditions):
        conditions = [conditions]
    try:
        return all(condition() for condition in conditions)
    except RuntimeError as error:
        raise NotPlannable(
            "its condition `_if` asks for the result of an operation that is not planned yet",
            hint="call the operation that it depends on before it",
        ) from error


def _sentence(host: Host, role: str, what: str, error: Exception) -> CrosprovError:
    """Word what went wrong: in the inventory, on the host, or in the deploy itself."""
    connector = host.connector
    assert isinstance(connector, _Connector)
    match error:
        case NotPlannable():
            message = f"role {role}: {what} cannot be planned: {error.message}"
            return NotPlannable(message, hint=error.hint)
        case PlanError():
            return type(error)(f"role {role}: {error.message}", hint=error.hint)
        case CrosprovError():
            return error
        case PyinfraError():
            reason = connector.failed if "No hosts remaining" in str(error) else str(error)
            message = f"role {role}: {what} cannot be planned: {reason}"
            return PlanError(message, hint=_hint(reason or ""))
    frames = traceback.extract_tb(error.__traceback__)
    # The last line of the deploy's own, not that of a library which it called wrongly.
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    where = (own or frames)[-1]
    return PlanError(
        f"role {role}: {what} has a defect: {type(error).__name__}: {error}",
        hint=f"look at {where.filename}, line {where.lineno}",
    )


def _hint(reason: str) -> str | None:
    """Say what a question to a host lacked, where its answer tells."""
    if "not found" in reason:
        return _PROGRAMS
    return _AS_ROOT if re.search(r"[Pp]ermission denied", reason) else None


def _change(
    role: str, name: str, registered: StateOperationHostData, commands: Sequence[PyinfraCommand]
) -> Change:
    arguments = dict(registered.global_arguments)
    for key in _UNPLANNABLE_ARGUMENTS:
        if arguments.get(key):
            raise NotPlannable(f"it uses {key}, which only works while a command runs")
    steps = [step for command in commands for step in _steps(command, arguments, commands)]
    notes = (c.note for c in commands if isinstance(c, Noted | RebootCommand))
    note = next((note for note in notes if note is not None), None)
    short = name.rsplit(" | ", 1)[-1]
    if note is None:
        return Change(
            role=role, operation=short, resource=Resource(kind="operation", name=short),
            action=Action.RUN, steps=tuple(steps), unknown=("what it changes",),
        )  # fmt: skip
    return Change(
        role=role, operation=short, resource=note.resource, action=note.action,
        diff=None if note.diff is None else vault.mask(note.diff),
        before=_masked(note.before), after=_masked(note.after), restarts=note.restarts,
        unknown=note.unknown, steps=tuple(steps), undo=note.undo, kept=note.kept,
        within=note.within, destroys=note.destroys,
    )  # fmt: skip


def _masked(attributes: Mapping[str, str | None]) -> dict[str, str | None]:
    return {key: value and vault.mask(value) for key, value in attributes.items()}


def _steps(
    command: PyinfraCommand, arguments: Mapping[str, Any], commands: Sequence[PyinfraCommand]
) -> list[Step]:
    match command:
        case Content():
            return [Write(path=command.dest, content=base64.b64encode(command.content))]
        case LocalFile():
            return [
                Send(path=command.dest, source=command.source, size=command.size,
                     sha256=command.sha256, offset=command.offset)
            ]  # fmt: skip
        case FileUploadCommand():
            return _stock_upload(command, commands)
        case RebootCommand():
            return [Reboot(within=command.within, ask=command.ask)]
        case StringCommand():
            return [Shell(command=_guarded(command, arguments))]
    raise NotPlannable(
        f"its {type(command).__name__} does its work only while it runs",
        hint="use operations that are made of shell commands and uploads",
    )


def _guarded(command: StringCommand, arguments: Mapping[str, Any]) -> str:
    """Give the shell line of a command; refuse secrets, which `ps` would show."""
    line = _shell_line(command, {**arguments, **command.connector_arguments})
    if vault.tokens_in(line) or command.get_raw_value() != command.get_masked_value():
        raise NotPlannable(
            "it has a secret in a command line, where every user of the host can see it",
            hint="put the secret into a file and let the command read it",
        )
    codes = sorted(set(arguments.get("_success_exit_codes") or [0]) - {0})
    if codes:
        line = f"{line}\ncase $? in 0|{'|'.join(map(str, codes))}) :;; *) exit 1;; esac"
    if arguments.get("_ignore_errors"):
        line = f"{{ {line}\n}} || :"
    return line


def _stock_upload(upload: FileUploadCommand, commands: Sequence[PyinfraCommand]) -> list[Step]:
    """Upload as pyinfra's own operations ask, yet by a private file that is then renamed.

    An existing file's mode and owner stay, as with a plain upload. A new one is made readable
    unless a later command of the same operation sets its mode.
    """
    content = _read(upload.src)
    directory, base = posixpath.split(upload.dest)
    temporary = shlex.quote(posixpath.join(directory, f".{base[:200]}.crosprov"))
    target = shlex.quote(upload.dest)
    set_later = any("chmod" in str(c) for c in commands if isinstance(c, StringCommand))
    widen = ":" if set_later else f"chmod 644 {temporary}"
    return [
        Shell(command=f"rm -f {temporary} && ( umask 077; set -C; : > {temporary} )"),
        Write(
            path=posixpath.join(directory, f".{base[:200]}.crosprov"),
            content=base64.b64encode(content),
        ),
        Shell(
            command=f"if [ -f {target} ]; then chmod --reference={target} {temporary} && "
            f"chown --reference={target} {temporary}; else {widen}; fi && "
            f"mv -f {temporary} {target}"
        ),
    ]


def _read(source: Any) -> bytes:
    if isinstance(source, str):
        try:
            with open(source, "rb") as file:
                return file.read()
        except OSError as error:
            raise PlanError(f"{source} cannot be read: {error.strerror}") from None
    source.seek(0)
    content = source.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _shell_line(command: Any, arguments: Mapping[str, Any]) -> str:
    """Give the command as a line for `sh`, wrapped only when its arguments ask for it."""
    if not isinstance(command, StringCommand):
        command = StringCommand(str(command))
    shell = {
        key: value
        for key, value in arguments.items()
        if key.startswith("_") and value and key not in _NOT_FOR_THE_SHELL
    }
    wrapping = {
        key: value
        for key, value in shell.items()
        if key not in {"_ignore_errors", "_continue_on_error", "_if", "_temp_dir", "_retry_delay"}
        and (key, value) != ("_shell_executable", "sh")
    }
    if not wrapping:
        return str(command.get_raw_value())
    wrapped = make_unix_command(command, **wrapping)
    return str(wrapped.get_raw_value())


def _lines(stream: str, output: bytes) -> list[OutputLine]:
    text = output.decode("utf-8", "surrogateescape").removesuffix("\n")
    return [OutputLine(stream, line) for line in text.split("\n")] if text else []


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""

"""Plans for tests, carried out on this machine in a temporary directory."""

from __future__ import annotations

import base64
import time
from pathlib import Path

from crosprov.errors import CrosprovError
from crosprov.execution.events import Event
from crosprov.execution.executor import carry_out
from crosprov.planning.plan import (
    Action,
    Change,
    HostPlan,
    Plan,
    Readiness,
    Resource,
    Send,
    Shell,
    Write,
)
from crosprov.secrets import vault
from crosprov.transport.base import SshTarget
from crosprov.transport.local import LocalTransport


def shell(name: str, *commands: str, undo: str | None = None) -> Change:
    """Make a change of shell commands."""
    return Change(
        role="common", operation="test", action=Action.RUN, undo=undo,
        resource=Resource(kind="test", name=name),
        steps=tuple(Shell(command=command) for command in commands),
    )  # fmt: skip


def writing(path: Path, content: bytes) -> Change:
    """Make a change that writes a private file and renames it."""
    temporary = path.with_name(f".{path.name}.crosprov")
    return Change(
        role="common", operation="test", action=Action.CREATE,
        resource=Resource(kind="file", name=str(path)),
        steps=(
            Shell(command=f"( umask 077; : > '{temporary}' )"),
            Write(path=str(temporary), content=base64.b64encode(content)),
            Shell(command=f"mv -f '{temporary}' '{path}'"),
        ),
    )  # fmt: skip


def sending(source: Path, path: Path, sha256: str) -> Change:
    """Make a change that streams a large file."""
    return Change(
        role="common", operation="test", action=Action.CREATE,
        resource=Resource(kind="file", name=str(path)),
        steps=(
            Send(path=str(path), source=str(source), size=source.stat().st_size, sha256=sha256),
        ),
    )  # fmt: skip


def plan_of(
    state: Path,
    *changes: Change,
    host: str = "h1",
    needs: tuple[str, ...] = (),
    readiness: tuple[Readiness, ...] = (),
) -> HostPlan:
    """Make a plan of one host."""
    return HostPlan(
        host=host, roles=("common",), state_dir=str(state), target=SshTarget(host, host),
        changes=changes, needs=needs, readiness=readiness,
    )  # fmt: skip


def lab_of(*hosts: HostPlan) -> Plan:
    """Make a plan of several hosts."""
    return Plan(
        crosprov="0.1.0", lab="lab", inventory="/lab.yml", created="2026-01-01T00:00:00Z",
        hosts=hosts,
    )  # fmt: skip


def carried(plan: HostPlan) -> tuple[list[Event], CrosprovError | None]:
    """Carry a plan out on this machine; give the events and the error."""
    events: list[Event] = []
    try:
        carry_out(
            plan, LocalTransport("h1"), vault=vault, who="me@here", run="r1", emit=events.append
        )
    except CrosprovError as error:
        return events, error
    return events, None


def wait_for(path: Path) -> None:
    """Wait until a path exists; bounded, for a process that died would never make it."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was never made"
        time.sleep(0.02)

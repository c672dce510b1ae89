"""A managed host for tests: this machine, with some of its programs replaced by imitations."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyinfra.api import deploy

from crosprov.execution.events import Event
from crosprov.execution.executor import carry_out
from crosprov.planning.engine import RoleDeploy
from crosprov.planning.plan import Change, HostPlan
from crosprov.planning.planner import HostModel, propose
from crosprov.secrets import vault
from crosprov.transport.base import Completed, Sink, SshTarget
from crosprov.transport.local import LocalTransport

Deploy = Callable[[], object]


class Enclosed(LocalTransport):
    """Run commands with a PATH of imitations, and, where asked, with an /etc of their own."""

    def __init__(self, path: Path, environ: Mapping[str, str], etc: Path | None) -> None:
        super().__init__("host", sudo=False)
        self._path = path
        self._environ = environ
        self._etc = etc

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        given = {"PATH": f"{self._path}:{os.environ['PATH']}", **self._environ}
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in given.items())
        command = f"{words} exec /bin/sh -c {shlex.quote(command)}"
        if self._etc is not None:
            upper, work = self._etc / "upper", self._etc / "work"
            mount = f"mount -t overlay none -o lowerdir=/etc,upperdir={upper},workdir={work} /etc"
            command = f"unshare -m sh -c {shlex.quote(f'{mount} && {command}')}"
        return super().run(
            command, stdin=stdin, timeout=timeout, on_stdout=on_stdout, on_stderr=on_stderr
        )


@dataclass
class Machine:
    """A host with its own state directory, and what the imitations remember."""

    root: Path
    etc: Path | None = None
    environ: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        """Give the directory of crosprov's records."""
        return self.root / "state"

    @property
    def stubs(self) -> Path:
        """Give the directory where the imitations keep their state."""
        return self.root / "stubs"

    @property
    def calls(self) -> list[str]:
        """List the calls of imitations that change something, in order."""
        log = self.stubs / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def install(self, *programs: Path) -> None:
        """Put imitations in front of the machine's own programs."""
        (self.root / "bin").mkdir(exist_ok=True)
        self.stubs.mkdir(exist_ok=True)
        for program in programs:
            text = program.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS")
            (self.root / "bin" / program.name).write_text(text)
            (self.root / "bin" / program.name).chmod(0o755)

    def transport(self, **environ: str) -> Enclosed:
        """Connect; what is given more is in the environment of all commands."""
        given = {"STUB_STATE": str(self.stubs), **self.environ, **environ}
        return Enclosed(self.root / "bin", given, self.etc)

    def plan(self, wanted: Deploy) -> HostPlan:
        """Plan a deploy."""
        return propose(self.model(wanted), self.transport())

    def apply(self, wanted: Deploy, **environ: str) -> tuple[Change, ...]:
        """Plan a deploy and carry it out."""
        plan = self.plan(wanted)
        self.carry_out(plan, **environ)
        return plan.changes

    def carry_out(self, plan: HostPlan, **environ: str) -> None:
        """Carry out a plan that was made before."""
        carry_out(
            plan,
            self.transport(**environ),
            vault=vault,
            who="test@here",
            run="r",
            emit=self.events.append,
        )

    def due(self) -> list[str]:
        """List the restarts that are due on the host."""
        folder = self.state_dir / "restart"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def model(self, wanted: Deploy) -> HostModel:
        """Give what the planner knows of this host."""
        call = deploy("test")(wanted)
        target = SshTarget("host", "192.0.2.1")
        return HostModel("host", [RoleDeploy("test", call)], target, str(self.state_dir))


def summary(plan: HostPlan) -> list[str]:
    """Word the changes of a plan, one line each."""
    return [f"{change.action.mark} {change.resource}" for change in plan.changes]

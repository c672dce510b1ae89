"""One run of the program: a lab, the chosen hosts, how they are reached, and what is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from crosprov.execution.apply import Apply, Report
from crosprov.execution.events import Emit
from crosprov.execution.fleet import Fleet
from crosprov.execution.planning import Scope, Subject, plan_lab
from crosprov.execution.runner import ThreadRunner
from crosprov.inventory.graph import waves
from crosprov.inventory.load import load_lab
from crosprov.inventory.secret_places import check_secrets
from crosprov.inventory.select import select
from crosprov.planning.plan import Plan, Readiness
from crosprov.secrets import vault
from crosprov.transport.base import SshTarget, Transport

if TYPE_CHECKING:
    from crosprov.inventory.lab import Host, Lab
    from crosprov.planning.planner import HostModel

PARALLEL = 32


@dataclass(slots=True)
class Session:
    """Bind a lab and a choice of hosts to connections, for plan, apply and status.

    `reach` says how a host is reached; a virtual twin is reached in another way.
    """

    lab: Lab
    chosen: Sequence[str]
    parallel: int = PARALLEL
    accept_new_host_keys: bool = False
    reach: Callable[[str], SshTarget] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, inventory: Path, limit: str | None = None, role: str | None = None) -> Session:
        """Load an inventory and choose hosts; raises InventoryError and UsageError."""
        lab = load_lab(inventory)
        return cls(lab, select(lab, limit, role))

    @property
    def scope(self) -> Scope:
        """Say what a plan of this session is about."""
        subjects = {name: self._subject(self.lab.hosts[name]) for name in self.chosen}
        return Scope(
            lab=self.lab.name,
            inventory=str(self.lab.path.resolve()),
            subjects=subjects,
            waves=waves(self.lab, set(self.chosen)),
            twin=self.reach is not None,
        )

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """Give the connections of the run; Ctrl-C and SIGTERM close them and set `stop`."""
        with Fleet(connect) as fleet, interruptible(fleet, self.stop):
            yield fleet

    def plan(self, fleet: Fleet, emit: Emit) -> Plan:
        """Plan the chosen hosts; raises KeyboardInterrupt when the run was stopped.

        Raises InventoryError with every secret of theirs that cannot be read, before a host is
        asked.
        """
        check_secrets(self.lab, self.chosen, vault)
        plan = plan_lab(self.scope, fleet, ThreadRunner(self.parallel), emit)
        if self.stop.is_set():
            raise KeyboardInterrupt
        return plan

    def apply(self, plan: Plan, fleet: Fleet, emit: Emit, *, check_first: bool) -> Report:
        """Carry a plan out; see `crosprov.execution.apply.Apply`."""
        models = {name: subject.model for name, subject in self.scope.subjects.items()}
        return Apply(
            plan, fleet, ThreadRunner(self.parallel), vault, emit, models=models,
            check_first=check_first, stop=self.stop,
        )()  # fmt: skip

    def _subject(self, host: Host) -> Subject:
        own = host.ssh_target()
        target = replace(
            self.reach(host.name) if self.reach else own,
            connect_timeout=own.connect_timeout,
            command_timeout=own.command_timeout,
            accept_new_host_keys=self.accept_new_host_keys,
        )
        return Subject(target, lambda: self._model(host, target), likeness=host.roles)

    def _model(self, host: Host, target: SshTarget) -> HostModel:
        from crosprov.deploying import host_model

        chosen = set(self.chosen)
        readiness = (
            Readiness(port=probe.port, path=probe.path, status=probe.status)
            for settings in host.roles.values()
            for probe in settings.probes(host.address)
        )
        return replace(
            host_model(self.lab, host),
            target=target,
            needs=tuple(name for name in self.lab.targets[host.name] if name in chosen),
            readiness=tuple(readiness),
        )


def apply_saved(
    plan: Plan, emit: Emit, *, parallel: int = PARALLEL, stop: threading.Event | None = None
) -> Report:
    """Carry a saved plan out exactly, after making sure that the hosts look as they did.

    Raises StalePlan before anything is changed.
    """
    stop = stop or threading.Event()
    with Fleet(connect) as fleet, interruptible(fleet, stop):
        return Apply(
            plan, fleet, ThreadRunner(parallel), vault, emit, check_first=True, stop=stop
        )()


def connect(target: SshTarget) -> Transport:
    """Connect to a host, or to this machine; raises HostError."""
    if target.local:
        from crosprov.transport.local import LocalTransport

        return LocalTransport(target.name, command_timeout=target.command_timeout)
    from crosprov.transport import ssh

    return ssh.connect(target)


@contextmanager
def interruptible(fleet: Fleet, stop: threading.Event) -> Iterator[None]:
    """End a run cleanly at the first Ctrl-C or SIGTERM; a second one ends it at once.

    Closing the connections lets each host finish the change that is under way, and no more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        threading.Thread(target=fleet.close, daemon=True).start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

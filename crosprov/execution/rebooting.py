"""Wait until a host that was told to reboot is back, and tell when it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from crosprov.errors import ChangeFailed, HostError, HostGone, HostKeyRejected, HostSilent
from crosprov.execution.events import Emit, Rebooted, Rebooting
from crosprov.planning.boot import BOOT_ID
from crosprov.planning.plan import Change, HostPlan, Reboot
from crosprov.transport.base import Transport

_PAUSE = 1.0  # seconds between two attempts
_MOST_FOR_ANSWER = 10.0  # seconds; a host that goes down may leave a question open


@dataclass(frozen=True, slots=True)
class Departure:
    """A host that was told to reboot, and where its plan stood then."""

    plan: HostPlan
    change: Change
    reboot: Reboot
    boot_id: str
    done: int  # changes that were carried out before

    @property
    def standing(self) -> str:
        """Word how far the plan was."""
        total = len(self.plan.changes)
        return f"{self.done} of {total} changes done before, {self.change.resource} under way"


ComeBack = Callable[[Departure], Transport]
"""What gives the connection to the new boot of a host."""


@dataclass(slots=True)
class Return:
    """Wait for a host: connect again and again until it answers with another boot id.

    `drop` forgets the connection of the boot that ended. Setting `stop` ends the waiting.
    """

    connect: Callable[[], Transport]
    drop: Callable[[], None]
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self, departure: Departure) -> Transport:
        """Give the connection to the new boot.

        Raises HostGone when the host does not answer in its time, ChangeFailed when it answers
        and has not rebooted, HostKeyRejected when another host answers in its place.
        """
        host = departure.plan.host
        within = departure.reboot.within
        started = time.monotonic()
        trouble: HostError | None = None
        away = False
        self.drop()
        while True:
            passed = time.monotonic() - started
            self._stop_asked(departure)
            if passed >= within:
                raise _given_up(departure, trouble, away)
            self.emit(Rebooting(host, departure.change, passed, within))
            try:
                transport = self.connect()
                trouble = None
                if _boot_id(transport, departure, within - passed) != departure.boot_id:
                    self.emit(Rebooted(host, time.monotonic() - started))
                    return transport
            except HostKeyRejected:
                raise
            except HostError as error:  # a login may be refused while a host boots, too
                self.drop()
                trouble, away = error, True
            self.stop.wait(_PAUSE)

    def _stop_asked(self, departure: Departure) -> None:
        if self.stop.is_set():
            raise HostError(
                departure.plan.host,
                f"stopped while it reboots; {departure.standing}, and nothing after it",
                hint="the next run goes on from what it finds",
            )


def _boot_id(transport: Transport, departure: Departure, left: float) -> str:
    """Ask for the boot id; what answers wrongly is about to go down or not yet up."""
    done = transport.run(f"cat {BOOT_ID}", timeout=max(1.0, min(left, _MOST_FOR_ANSWER)))
    said = done.stdout.decode("ascii", "replace").split()
    if done.status != 0 or not said:
        raise HostSilent(departure.plan.host, f"its boot id cannot be read (status {done.status})")
    return said[-1]


def _given_up(departure: Departure, trouble: HostError | None, away: bool) -> HostError:
    host, within = departure.plan.host, departure.reboot.within
    change = departure.change
    if trouble is not None:
        return HostGone(
            host,
            f"{host} did not come back within {within:.0f} s of its reboot; {departure.standing}. "
            f"At last: {trouble.message}",
            hint="look at its console, its power and its network, and whether its address has "
            "changed; once it answers, apply again: it goes on from what it finds",
        )
    how = "was away for a while and is back, but" if away else "answered all the time, so"
    return ChangeFailed(
        host,
        f"{change.resource} could not be {change.action.past}: {host} was told to reboot, and "
        f"{how} it runs the same boot {within:.0f} s later",
        hint="reboot it by hand and see what keeps it from that; then apply again",
    )

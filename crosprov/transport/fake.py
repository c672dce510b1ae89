"""A transport to no host at all, for tests: a callable answers, and all is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crosprov.errors import HostSilent
from crosprov.transport.base import Channel, Completed, Sink


@dataclass(frozen=True, slots=True)
class Sent:
    """Hold one command as it was sent."""

    command: str
    stdin: bytes
    timeout: float | None


Answer = Callable[[Sent], Completed]
Dial = Callable[[str, int], Channel]


def succeed(sent: Sent) -> Completed:
    """Answer every command with success and silence."""
    return Completed(0, b"", b"")


class FakeTransport:
    """Answer commands from a callable, and remember them in `sent`.

    What the callable raises, `run` raises. `dial` gives the channels of `open_tcp`;
    without it every connection is refused.
    """

    def __init__(
        self, answer: Answer = succeed, *, name: str = "fake", dial: Dial | None = None
    ) -> None:
        self.sent: list[Sent] = []
        self.closed = False
        self._answer = answer
        self._name = name
        self._dial = dial

    @property
    def round_trips(self) -> int:
        return len(self.sent)

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        """Record the command and return the callable's answer."""
        if self.closed:
            raise HostSilent(self._name, f"The connection to {self._name} is closed.")
        sent = Sent(command, stdin, timeout)
        self.sent.append(sent)
        done = self._answer(sent)
        for sink, data in ((on_stdout, done.stdout), (on_stderr, done.stderr)):
            if sink is not None and data:
                sink(data)
        return done

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> Channel:
        """Return the channel that `dial` gives."""
        if self._dial is None:
            raise ConnectionRefusedError(f"{self._name} cannot reach {host} port {port}")
        return self._dial(host, port)

    def close(self) -> None:
        self.closed = True

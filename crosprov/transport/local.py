"""Commands on this machine, under the same contract as over SSH."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import IO

from crosprov.errors import HostSilent
from crosprov.transport.base import KEPT, Channel, Completed, Sink
from crosprov.transport.privilege import Sudo

_CHUNK = 64 * 1024
_LINGER = 5.0
_HINT = "Raise ssh.command_timeout if the command only needs longer."


class LocalTransport:
    """Run commands as root on this machine: as it is, or through `sudo -n`.

    `command_timeout` is in seconds. Without `sudo` given, it is used unless this
    process is root's.
    """

    def __init__(
        self, name: str = "localhost", *, command_timeout: float = 600.0, sudo: bool | None = None
    ) -> None:
        self._name = name
        self._timeout = command_timeout
        self._sudo = os.geteuid() != 0 if sudo is None else sudo
        self._round_trips = 0
        self._lock = threading.Lock()
        self._closed = False
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def round_trips(self) -> int:
        return self._round_trips

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        """Run a shell command and wait for its end. Raises HostSilent or NoPrivilege."""
        limit = self._timeout if timeout is None else timeout
        if not self._sudo:
            return self._execute(command, stdin, limit, on_stdout, on_stderr)
        sudo = Sudo(self._name, "this machine")
        words = sudo.words(command)
        done = self._execute(words, stdin, limit, on_stdout, sudo.sink(on_stderr))
        return sudo.outcome(done)

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> Channel:
        """Open a TCP connection from this machine. Raises OSError."""
        return socket.create_connection((host, port), timeout=timeout)

    def close(self) -> None:
        """End the commands under way; further calls do nothing."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _kill(process)

    def _execute(
        self,
        command: str,
        stdin: bytes,
        limit: float,
        on_stdout: Sink | None,
        on_stderr: Sink | None,
    ) -> Completed:
        end = time.monotonic() + limit
        process = self._start(command)
        try:
            with _Pump(process, stdin, on_stdout, on_stderr) as pump:
                if not pump.run(end):
                    raise HostSilent(
                        self._name,
                        f"A command on this machine did not end within {limit:g} s.",
                        hint=_HINT,
                    )
                return self._completed(process, pump)
        finally:
            if process.poll() is None:
                _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise HostSilent(self._name, "The transport to this machine is closed.")
            self._round_trips += 1
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def _completed(self, process: subprocess.Popen[bytes], pump: _Pump) -> Completed:
        status = process.wait()
        if self._closed and status == -signal.SIGKILL:
            raise HostSilent(self._name, "The transport was closed during a command.")
        status = status if status >= 0 else 128 - status
        return Completed(status, bytes(pump.stdout), bytes(pump.stderr))


class _Pump:
    """Move a process's three streams at once, until the process and they have ended."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        on_stdout: Sink | None,
        on_stderr: Sink | None,
    ) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("the process was started without pipes")
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._process = process
        self._stdin: IO[bytes] = process.stdin
        self._left = memoryview(stdin)
        self._outputs = {
            process.stdout: (self.stdout, on_stdout),
            process.stderr: (self.stderr, on_stderr),
        }
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> _Pump:
        for stream in (self._stdin, *self._outputs):
            os.set_blocking(stream.fileno(), False)
        for stream in self._outputs:
            self._selector.register(stream, selectors.EVENT_READ)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        return self

    def __exit__(self, *error: object) -> None:
        self._selector.close()
        for stream in (self._stdin, *self._outputs):
            stream.close()

    def run(self, end: float) -> bool:
        """Move bytes until all is done; return False when the time `end` comes first.

        A daemon that the command left behind may hold the outputs open; they are
        listened to for a while after the command's own end.
        """
        quiet: float | None = None
        while any(stream in self._selector.get_map() for stream in self._outputs):
            left = end - time.monotonic()
            if left <= 0:
                return False
            ready = self._selector.select(min(left, 0.5))
            for key, _ in ready:
                self._serve(key.fileobj)
            if ready or self._process.poll() is None:
                quiet = None
                continue
            quiet = quiet or time.monotonic()
            if time.monotonic() - quiet > _LINGER:
                return True
        return self._ended(end)

    def _ended(self, end: float) -> bool:
        try:
            self._process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _serve(self, stream: object) -> None:
        if stream is self._stdin:
            self._feed()
            return
        for output, (store, sink) in self._outputs.items():
            if output is not stream:
                continue
            data = os.read(output.fileno(), _CHUNK)
            if not data:
                self._selector.unregister(output)
            store += data if sink is None else data[: max(0, KEPT - len(store))]
            if sink is not None and data:
                sink(data)

    def _feed(self) -> None:
        try:
            sent = os.write(self._stdin.fileno(), self._left[:_CHUNK]) if self._left else 0
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The command does not want the rest of its input.
            self._left = memoryview(b"")
            sent = 0
        self._left = self._left[sent:]
        if not self._left:
            self._selector.unregister(self._stdin)
            self._stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

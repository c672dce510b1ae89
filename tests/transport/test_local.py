"""The same contract on this machine."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from crosprov.errors import HostSilent
from crosprov.transport.local import LocalTransport

MEGABYTES = bytes(range(256)) * 4096 * 8


@pytest.fixture
def local() -> Iterator[LocalTransport]:
    with closing(LocalTransport("here", sudo=False)) as transport:
        yield transport


def test_output_status_and_input(local: LocalTransport) -> None:
    done = local.run("cat; echo err >&2; exit 3", stdin=b"in")
    assert (done.status, done.stdout, done.stderr) == (3, b"in", b"err\n")
    assert local.round_trips == 1


def test_megabytes_go_both_ways_at_once(local: LocalTransport) -> None:
    done = local.run("tee /dev/stderr", stdin=MEGABYTES)
    assert (done.stdout, done.stderr) == (MEGABYTES, MEGABYTES)


def test_input_that_nobody_reads_does_no_harm(local: LocalTransport) -> None:
    assert local.run("exit 4", stdin=MEGABYTES).status == 4


def test_death_by_signal_is_a_status(local: LocalTransport) -> None:
    assert local.run("kill -KILL $$").status == 128 + signal.SIGKILL


def test_a_command_over_its_limit_is_ended(local: LocalTransport) -> None:
    seen: list[bytes] = []
    with pytest.raises(HostSilent, match="within 1 s") as caught:
        local.run("echo $$; exec sleep 300", timeout=1, on_stdout=seen.append)
    assert caught.value.host == "here"
    with pytest.raises(ProcessLookupError):
        os.kill(int(b"".join(seen)), 0)


def test_outputs_closed_early_do_not_end_a_command(local: LocalTransport) -> None:
    with pytest.raises(HostSilent, match="within 1 s"):
        local.run("exec >&- 2>&-; exec sleep 300", timeout=1)


def test_a_daemon_left_behind_does_not_hold_up_its_command(local: LocalTransport) -> None:
    done = local.run("sleep 300 & echo $!", timeout=60)
    assert done.status == 0
    os.kill(int(done.stdout), signal.SIGTERM)


def test_close_from_another_thread_ends_a_command(local: LocalTransport) -> None:
    def close(data: bytes) -> None:
        closer = threading.Thread(target=local.close)
        closer.start()
        closer.join()

    with pytest.raises(HostSilent, match="closed"):
        local.run("echo; exec sleep 300", on_stdout=close)
    with pytest.raises(HostSilent, match="closed"):
        local.run("true")


def test_tcp_connections(local: LocalTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channel = local.open_tcp("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            channel.sendall(b"hello")
            assert peer.recv(5) == b"hello"
        channel.close()
    with pytest.raises(OSError, match="refused"):
        local.open_tcp("127.0.0.1", 1)

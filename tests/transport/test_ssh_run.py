"""Commands over a real sshd: outputs, inputs, statuses, limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from crosprov.errors import HostSilent
from crosprov.transport.base import Transport
from crosprov.transport.ssh import connect
from tests.support.sshd import Sshd, sshd

MEGABYTES = bytes(range(256)) * 4096 * 8


def test_output_and_status_come_back(transport: Transport) -> None:
    done = transport.run("echo out; echo err >&2; exit 3")
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_each_command_is_one_round_trip(transport: Transport) -> None:
    transport.run("true")
    transport.run("false")
    assert transport.round_trips == 2


def test_a_script_comes_on_standard_input(transport: Transport) -> None:
    assert transport.run("sh -s", stdin=b"printf %s hello").stdout == b"hello"


def test_megabytes_go_both_ways_at_once(transport: Transport) -> None:
    done = transport.run("tee /dev/stderr", stdin=MEGABYTES)
    assert done.status == 0
    assert done.stdout == MEGABYTES
    assert done.stderr == MEGABYTES


def test_output_flows_before_any_input_is_read(transport: Transport) -> None:
    command = f"head -c {len(MEGABYTES)} /dev/zero; head -c {len(MEGABYTES)} /dev/zero >&2; wc -c"
    done = transport.run(command, stdin=MEGABYTES)
    assert done.stdout[len(MEGABYTES) :].strip() == b"%d" % len(MEGABYTES)
    assert len(done.stderr) == len(MEGABYTES)


def test_input_that_nobody_reads_does_no_harm(transport: Transport) -> None:
    assert transport.run("exit 4", stdin=MEGABYTES).status == 4


def test_bytes_that_are_not_text_pass_unchanged(transport: Transport) -> None:
    every = bytes(range(256))
    assert transport.run("cat", stdin=every).stdout == every


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV", "USR1"])
def test_death_by_signal_is_a_status(transport: Transport, name: str) -> None:
    done = transport.run(f"kill -{name} $$")
    assert done.status == 128 + getattr(signal, f"SIG{name}")


def test_sinks_see_output_in_the_calling_thread(transport: Transport) -> None:
    seen: list[tuple[str, bytes, int]] = []

    def note(stream: str, data: bytes) -> None:
        seen.append((stream, data, threading.get_ident()))

    transport.run(
        "echo out; echo err >&2",
        on_stdout=lambda data: note("out", data),
        on_stderr=lambda data: note("err", data),
    )
    me = threading.get_ident()
    assert sorted(seen) == [("err", b"err\n", me), ("out", b"out\n", me)]


def test_a_sink_sees_output_before_the_command_ends(transport: Transport, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    command = f"echo ready; while [ ! -e {flag} ]; do sleep 0.05; done; echo done"
    done = transport.run(command, timeout=60, on_stdout=lambda _: flag.touch())
    assert done.stdout == b"ready\ndone\n"


def test_the_error_of_a_sink_is_the_callers(transport: Transport) -> None:
    def break_off(data: bytes) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        transport.run("echo out", on_stdout=break_off)
    assert transport.run("echo again").stdout == b"again\n"


def test_a_command_over_its_limit_costs_its_channel_only(transport: Transport) -> None:
    with pytest.raises(HostSilent, match=r"host1 .* did not end within 1 s") as caught:
        transport.run("exec cat /dev/fd/0 /dev/null < /dev/zero > /dev/stderr", timeout=1)
    assert caught.value.host == "host1"
    assert transport.run("echo on").stdout == b"on\n"


def test_a_limit_holds_while_output_flows(transport: Transport) -> None:
    with pytest.raises(HostSilent, match="within 1 s"):
        transport.run("cat /dev/zero", timeout=1)


def test_a_daemon_left_behind_does_not_hold_up_its_command(transport: Transport) -> None:
    done = transport.run("sleep 300 & echo $!", timeout=60)
    assert done.status == 0
    os.kill(int(done.stdout), signal.SIGTERM)


def test_a_stopped_server_is_noticed_at_the_limit(own_server: Sshd) -> None:
    with closing(connect(own_server.target())) as session:
        session.run("true")
        for pid in own_server.sessions():
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HostSilent, match="within 1 s"):
            session.run("true", timeout=1)


def test_a_stopped_server_that_takes_no_more_input_is_noticed(own_server: Sshd) -> None:
    with closing(connect(own_server.target())) as session:

        def stop(data: bytes) -> None:
            for pid in own_server.sessions():
                os.kill(pid, signal.SIGSTOP)

        with pytest.raises(HostSilent, match="within 2 s"):
            session.run("echo; cat > /dev/null", stdin=MEGABYTES * 8, timeout=2, on_stdout=stop)


def test_a_killed_connection_is_an_error_at_once(own_server: Sshd) -> None:
    with closing(connect(own_server.target())) as session:

        def kill(data: bytes) -> None:
            for pid in own_server.sessions():
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(HostSilent, match="went away"):
            session.run("echo; exec sleep 300", on_stdout=kill)


def test_close_from_another_thread_ends_a_command(server: Sshd) -> None:
    session = connect(server.target())

    def close(data: bytes) -> None:
        closer = threading.Thread(target=session.close)
        closer.start()
        closer.join()

    with pytest.raises(HostSilent, match="went away"):
        session.run("echo; exec sleep 300", on_stdout=close)
    session.close()


def test_a_closed_connection_runs_nothing(server: Sshd) -> None:
    session = connect(server.target())
    session.close()
    session.close()
    with pytest.raises(HostSilent, match="went away"):
        session.run("true")


def test_several_threads_share_a_connection(transport: Transport) -> None:
    outputs: dict[int, bytes] = {}

    def work(number: int) -> None:
        outputs[number] = transport.run("cat", stdin=b"%d" % number * 100_000).stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: b"%d" % number * 100_000 for number in range(6)}


def test_tcp_connections_start_at_the_host(transport: Transport, server: Sshd) -> None:
    channel = transport.open_tcp("127.0.0.1", server.port)
    assert channel.recv(4) == b"SSH-"
    channel.sendall(b"SSH-2.0-probe\r\n")
    channel.close()


def test_a_refused_tcp_connection_is_an_oserror(transport: Transport) -> None:
    with pytest.raises(OSError, match="cannot reach 127.0.0.1 port 1 "):
        transport.open_tcp("127.0.0.1", 1)


def test_a_server_without_sessions_says_so(tmp_path: Path) -> None:
    with sshd(tmp_path / "s", options=["MaxSessions 0"]) as closed:
        with closing(connect(closed.target())) as session:
            with pytest.raises(HostSilent, match="went away during a command"):
                session.run("true")


def test_importing_the_transport_does_not_import_paramiko() -> None:
    code = "import sys, crosprov.transport.ssh; sys.exit('paramiko' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_nothing_of_paramiko_reaches_the_terminal(server: Sshd) -> None:
    code = (
        "import sys; from crosprov.transport.base import SshTarget;"
        "from crosprov.transport.ssh import connect; from crosprov.errors import HostError\n"
        "try: connect(SshTarget('h', '127.0.0.1', port=int(sys.argv[1]), known_hosts='/dev/null',"
        " use_ssh_config=False))\n"
        "except HostError: pass\n"
    )
    command = [sys.executable, "-c", code, str(server.port)]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

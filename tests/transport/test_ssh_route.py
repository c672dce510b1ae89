"""Ways to a host: jump hosts, proxy commands, and what the SSH configuration says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from crosprov.errors import HostKeyRejected, HostSilent, LoginRefused, Unreachable
from crosprov.transport.base import SshTarget
from crosprov.transport.route import plan_route
from crosprov.transport.ssh import connect
from crosprov.transport.wire import Wire
from tests.support.sshd import MISSING, Sshd, installed, sshd


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[list[Sshd]]:
    """Three servers with keys of their own: two jump hosts, and the host at the end."""
    if not installed():
        pytest.skip(MISSING)
    with ExitStack() as stack:
        yield [stack.enter_context(sshd(tmp_path / name)) for name in ("one", "two", "end")]


def configure(home: Path, chain: list[Sshd]) -> None:
    lines = []
    for name, server in zip(("one", "two", "end"), chain, strict=True):
        lines += [
            f"Host {name}",
            f"  HostName {server.address}",
            f"  Port {server.port}",
            f"  IdentityFile {server.client_key}",
            "  IdentitiesOnly yes",
            f"  UserKnownHostsFile {server.known_hosts}",
        ]
    (home / ".ssh" / "config").write_text("\n".join(lines) + "\n")


END = SshTarget("end", "end")


def test_a_chain_of_two_jump_hosts_is_climbed(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    target = SshTarget("end", "end", proxy_jump="one,two")
    with closing(connect(target)) as session:
        done = session.run('echo "$SSH_CONNECTION"')
    assert done.stdout.split()[-1] == b"%d" % chain[2].port
    for server in chain:
        assert "Accepted publickey" in (server.directory / "sshd.log").read_text()


def test_jumps_of_the_configuration_follow_one_another(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    with (home / ".ssh" / "config").open("a") as config:
        config.write("Host two\n ProxyJump one\nHost end\n ProxyJump two\n")
    hops = plan_route(END)
    assert [hop.port for hop in hops] == [server.port for server in chain]
    with closing(connect(END)) as session:
        assert session.run("cat", stdin=b"x" * 3_000_000).stdout == b"x" * 3_000_000


def test_a_jump_hosts_key_is_checked_too(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    chain[0].known_hosts.write_text("")
    target = SshTarget("end", "end", proxy_jump="one")
    with pytest.raises(HostKeyRejected, match=r"the jump host 127.0.0.1 port") as caught:
        connect(target)
    assert caught.value.host == "end"


def test_a_jump_host_refuses_a_wrong_key(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    (chain[1].directory / "authorized_keys").write_text("")
    with pytest.raises(LoginRefused, match=f"the jump host .* {chain[1].port} refused the login"):
        connect(SshTarget("end", "end", proxy_jump="one,two"))


def test_a_host_that_the_jump_host_cannot_reach(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    target = SshTarget("end", "127.0.0.1", port=1, proxy_jump="one")
    with pytest.raises(Unreachable, match="could not connect to 127.0.0.1 port 1 "):
        connect(target)


def test_a_jump_host_that_stops_forwarding_is_noticed(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    with closing(connect(SshTarget("end", "end", proxy_jump="one"))) as session:
        session.run("true")
        for pid in chain[0].sessions():
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HostSilent, match="within 1 s"):
            session.run("cat", stdin=bytes(30_000_000), timeout=1)


def test_a_dead_peer_behind_a_jump_host_shows_no_sign_of_life(
    home: Path, chain: list[Sshd]
) -> None:
    configure(home, chain)
    with (home / ".ssh" / "config").open("a") as config:
        config.write("Host end\n ServerAliveInterval 1\n ServerAliveCountMax 2\n")
    with closing(connect(SshTarget("end", "end", proxy_jump="one"))) as session:

        def stop(data: bytes) -> None:
            for pid in chain[2].sessions():
                os.kill(pid, signal.SIGSTOP)

        with pytest.raises(HostSilent, match="no sign of life"):
            session.run("echo; exec sleep 300", on_stdout=stop)


def test_a_quiet_command_of_a_living_host_is_left_alone(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    with (home / ".ssh" / "config").open("a") as config:
        config.write("Host end\n ServerAliveInterval 1\n ServerAliveCountMax 1\n")
    with closing(connect(END)) as session:
        assert session.run("sleep 4; echo slept").stdout == b"slept\n"


def test_a_slow_sink_is_not_a_dead_peer(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    with (home / ".ssh" / "config").open("a") as config:
        config.write("Host end\n ServerAliveInterval 1\n ServerAliveCountMax 1\n")
    with closing(connect(END)) as session:
        done = session.run("echo one; sleep 5; echo two", on_stdout=lambda data: time.sleep(4))
    assert done.stdout == b"one\ntwo\n"


def test_a_proxy_command_carries_the_connection(home: Path, chain: list[Sshd]) -> None:
    configure(home, chain)
    one = chain[0]
    command = (
        f"ssh -F none -o UserKnownHostsFile={one.known_hosts} -i {one.client_key} "
        f"-o BatchMode=yes -p {one.port} -W %h:%p 127.0.0.1"
    )
    with (home / ".ssh" / "config").open("a") as config:
        config.write(f"Host end\n ProxyCommand {command}\n")
    with closing(connect(END)) as session:
        assert session.run("cat", stdin=b"x" * 3_000_000).stdout == b"x" * 3_000_000


def test_what_a_proxy_command_complains_about_is_told(home: Path) -> None:
    (home / ".ssh" / "config").write_text("ProxyCommand echo no way through >&2; exit 1\n")
    with pytest.raises(Unreachable, match="no way through"):
        connect(END)


def test_jump_hosts_in_a_circle_are_named(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(Unreachable, match="circle"):
        connect(SshTarget("a", "a"))


def test_a_configuration_that_makes_no_sense_is_named(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port\n")
    with pytest.raises(Unreachable, match="config line 2 gives Port no value") as caught:
        connect(END)
    assert "use_ssh_config" in (caught.value.hint or "")


def test_the_configuration_can_be_left_aside(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n ProxyJump nowhere.invalid\n")
    (hop,) = plan_route(SshTarget("a", "a", use_ssh_config=False))
    assert hop.port == 22


def test_the_target_wins_over_the_configuration(home: Path) -> None:
    (home / ".ssh" / "config").write_text(
        "Host *\n Port 1\n User one\n IdentityFile ~/one\n ConnectTimeout 1m\n ProxyJump none\n"
    )
    (plain,) = plan_route(SshTarget("a", "a"))
    assert (plain.port, plain.user, plain.connect_timeout) == (1, "one", 60.0)
    target = SshTarget("a", "a", port=2, user="two", identity_file="~/two", connect_timeout=3.0)
    (hop,) = plan_route(target)
    assert (hop.port, hop.user, hop.connect_timeout) == (2, "two", 3.0)
    assert hop.identity_files == (home / "two", home / "one")


@pytest.mark.parametrize(
    ("jump", "expected"),
    [
        ("j", ("j", 22, "me")),
        ("u@j", ("j", 22, "u")),
        ("u@j:23", ("j", 23, "u")),
        ("ssh://u@j:23", ("j", 23, "u")),
        ("[2001:db8::1]:23", ("2001:db8::1", 23, "me")),
        ("u@sub@j", ("j", 22, "u@sub")),
    ],
)
def test_jump_hosts_are_written_as_for_ssh(
    jump: str, expected: tuple[str, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    hop, _ = plan_route(SshTarget("a", "a", proxy_jump=jump))
    assert (hop.host, hop.port, hop.user) == expected


@pytest.mark.parametrize("jump", ["", "a b:c", "u@:22", "j:port", "j,,k"])
def test_a_jump_host_that_is_no_address_is_named(jump: str) -> None:
    target = SshTarget("a", "a", proxy_jump=jump)
    if jump == "":
        with pytest.raises(Unreachable, match=r"\(empty\) is not of the form"):
            plan_route(target)
        return
    with pytest.raises(Unreachable, match="is not of the form"):
        plan_route(target)


class DeadChannel:
    """A channel through a jump host that is gone: whatever is said of it fails."""

    def shutdown(self, how: int) -> None:
        raise EOFError

    def close(self) -> None:
        raise EOFError


def test_a_connection_ends_quietly_when_its_jump_host_went_first() -> None:
    wire = Wire(DeadChannel())
    wire.close()
    assert wire.closed

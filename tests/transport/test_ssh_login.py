"""Logins: addresses, host keys, identities, and how each failure reads."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from crosprov.errors import HostKeyRejected, HostSilent, LoginRefused, Unreachable
from crosprov.transport.base import SshTarget
from crosprov.transport.ssh import connect
from tests.support.sshd import Sshd, keygen, sshd


def works(target: SshTarget) -> bool:
    with closing(connect(target)) as session:
        return session.run("echo hello").stdout == b"hello\n"


@contextmanager
def mute_listener() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def relay(port: int, *, hang_up: int) -> Iterator[int]:
    """A port that passes connections on, after it has hung up on the first few."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        for _ in range(hang_up):
            listener.accept()[0].close()
        near = listener.accept()[0]
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=pass_on, args=(far, near))
            back.start()
            pass_on(near, far)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        server.join()


def test_a_refused_port_is_unreachable(server: Sshd) -> None:
    with pytest.raises(Unreachable, match=r"127.0.0.1 port 1\) refused the connection") as caught:
        connect(server.target(port=1))
    assert "sshd runs" in (caught.value.hint or "")


def test_a_name_that_does_not_exist_is_unreachable(server: Sshd) -> None:
    with pytest.raises(Unreachable, match=r"The name nowhere\.invalid of host1 .* resolved"):
        connect(server.target(host="nowhere.invalid", connect_timeout=20.0))


def test_a_mute_peer_is_silent_within_the_limit(server: Sshd) -> None:
    with mute_listener() as port:
        with pytest.raises(HostSilent, match=rf"port {port}\) did not finish the login within 1 s"):
            connect(server.target(port=port, connect_timeout=1.0))


def test_a_server_with_too_many_logins_under_way_is_asked_again(server: Sshd) -> None:
    with relay(server.port, hang_up=2) as port:
        known = server.known_hosts_line().replace(str(server.port), str(port))
        Path.home().joinpath("known_hosts").write_text(known)
        assert works(server.target(port=port, known_hosts="~/known_hosts"))


def test_a_peer_that_is_no_sshd_is_unreachable(server: Sshd, tmp_path: Path) -> None:
    config = "ProxyCommand echo HTTP/1.1 400 Bad Request"
    (Path.home() / ".ssh/config").write_text(config)
    with pytest.raises(Unreachable, match="did not speak SSH"):
        connect(server.target(use_ssh_config=True))


def test_a_known_key_is_accepted(server: Sshd) -> None:
    assert works(server.target())


@pytest.mark.parametrize("recorded", ["ed25519", "ecdsa", "rsa"])
def test_the_key_on_record_is_asked_for_first(tmp_path: Path, recorded: str) -> None:
    kinds = ("ed25519", "ecdsa", "rsa")
    with sshd(tmp_path / "s", host_key_types=kinds) as server:
        server.known_hosts.write_text(server.known_hosts_line(kinds.index(recorded)))
        assert works(server.target())


def test_a_hashed_name_is_found(own_server: Sshd) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(own_server.known_hosts)],
        check=True,
        capture_output=True,
    )
    assert own_server.known_hosts.read_text().startswith("|1|")
    assert works(own_server.target())


def fingerprint(server: Sshd) -> str:
    public = str(server.host_keys[0]) + ".pub"
    done = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, check=True, text=True)
    return done.stdout.split()[1]


def test_an_unknown_key_is_rejected_with_its_fingerprint(server: Sshd, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    with pytest.raises(HostKeyRejected, match="is not known") as caught:
        connect(server.target(known_hosts=str(empty)))
    assert fingerprint(server) in caught.value.message
    assert "--accept-new-host-keys" in (caught.value.hint or "")
    assert not empty.exists()


def test_a_changed_key_is_rejected_with_its_line(server: Sshd, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"# a comment\n\n[{server.address}]:{server.port} {other}")
    with pytest.raises(HostKeyRejected, match=r"known_hosts line 3 has another key") as caught:
        connect(server.target(known_hosts=str(known), accept_new_host_keys=True))
    assert fingerprint(server) in caught.value.message
    assert known.read_text().count("\n") == 3


def test_a_key_of_another_type_is_not_new(server: Sshd, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other", "ecdsa").with_suffix(".pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"[{server.address}]:{server.port} {other}")
    with pytest.raises(HostKeyRejected, match="only a key of type ecdsa-sha2-nistp256"):
        connect(server.target(known_hosts=str(known), accept_new_host_keys=True))


def test_a_revoked_key_is_rejected(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{server.known_hosts_line()}@revoked * {server.public_key()}")
    with pytest.raises(HostKeyRejected, match="line 2 revokes"):
        connect(server.target(known_hosts=str(known)))


def test_a_certificate_authority_alone_is_named(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"@cert-authority * {server.public_key()}")
    with pytest.raises(HostKeyRejected, match="line 1 trusts a certificate authority"):
        connect(server.target(known_hosts=str(known), accept_new_host_keys=True))


def test_a_new_key_is_kept_when_told_so(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "new" / "known_hosts"
    assert works(server.target(known_hosts=str(known), accept_new_host_keys=True))
    assert known.read_text() == server.known_hosts_line()
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert works(server.target(known_hosts=str(known)))


def test_a_kept_key_does_not_join_an_unfinished_line(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("other.example.com ssh-ed25519 AAAA")
    assert works(server.target(known_hosts=str(known), accept_new_host_keys=True))
    first, second = known.read_text().splitlines(keepends=True)
    assert (first, second) == (
        "other.example.com ssh-ed25519 AAAA\n",
        server.known_hosts_line(),
    )


def test_a_known_hosts_file_that_cannot_be_written_is_named(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "known_hosts"
    with pytest.raises(HostKeyRejected, match="cannot be kept in"):
        connect(server.target(known_hosts=str(place), accept_new_host_keys=True))


def test_a_wrong_key_is_refused_with_its_fingerprint(server: Sshd, tmp_path: Path) -> None:
    wrong = keygen(tmp_path / "wrong")
    with pytest.raises(LoginRefused, match=r"refused the login of .*SHA256:") as caught:
        connect(server.target(identity_file=str(wrong)))
    assert str(wrong) in caught.value.message
    assert "authorized_keys" in (caught.value.hint or "")


def test_a_locked_key_is_a_sentence_and_no_prompt(server: Sshd, tmp_path: Path) -> None:
    locked = keygen(tmp_path / "locked", passphrase="secret")
    with pytest.raises(LoginRefused, match="is locked by a passphrase") as caught:
        connect(server.target(identity_file=str(locked)))
    assert "ssh-add" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), ("not a key\n", "is not a private key")],
)
def test_a_useless_key_file_is_named(
    server: Sshd, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(LoginRefused, match=reason):
        connect(server.target(identity_file=str(file)))


def test_a_login_without_any_key_says_so(server: Sshd) -> None:
    with pytest.raises(LoginRefused, match="there is no key to offer"):
        connect(server.target(identity_file=None))


def test_default_keys_are_found(server: Sshd, home: Path) -> None:
    shutil.copy(server.client_key, home / ".ssh" / "id_ed25519")
    assert works(server.target(identity_file=None))


def test_a_server_that_wants_a_password_is_named(tmp_path: Path) -> None:
    options = ["PubkeyAuthentication no", "PasswordAuthentication yes"]
    with sshd(tmp_path / "s", options=options) as server:
        with pytest.raises(LoginRefused, match="wants more than a key from .*: password"):
            connect(server.target())


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
    yield place
    process.terminate()
    process.communicate()


def add(key: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)


def test_a_key_of_the_agent_opens(server: Sshd, agent: Path) -> None:
    add(server.client_key)
    assert works(server.target(identity_file=None))


def test_a_locked_key_opens_through_the_agent(server: Sshd, agent: Path, tmp_path: Path) -> None:
    add(server.client_key)
    locked = tmp_path / "locked"
    shutil.copy(server.client_key, locked)
    shutil.copy(f"{server.client_key}.pub", f"{locked}.pub")
    command = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    config = Path.home() / ".ssh" / "config"
    config.write_text("IdentitiesOnly yes\n")
    assert works(server.target(identity_file=str(locked), use_ssh_config=True))


def test_identities_only_leaves_the_agents_other_keys_alone(
    server: Sshd, agent: Path, tmp_path: Path, home: Path
) -> None:
    add(server.client_key)
    wrong = keygen(tmp_path / "wrong")
    (home / ".ssh" / "config").write_text("IdentitiesOnly yes\n")
    with pytest.raises(LoginRefused) as caught:
        connect(server.target(identity_file=str(wrong), use_ssh_config=True))
    assert "agent" not in caught.value.message


def test_an_agent_that_hangs_up_is_named(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    with pytest.raises(LoginRefused, match="the agent at .* does not answer"):
        connect(server.target(identity_file=None))


def test_a_certificate_beside_the_key_is_offered(tmp_path: Path) -> None:
    authority = keygen(tmp_path / "ca")
    options = [f"TrustedUserCAKeys {authority}.pub"]
    with sshd(tmp_path / "s", options=options) as server:
        key = keygen(tmp_path / "certified")
        user = server.target().user or "root"
        command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "id", "-n", user, f"{key}.pub"]
        subprocess.run(command, check=True)
        (server.directory / "authorized_keys").write_text("")
        assert works(server.target(identity_file=str(key)))
        os.remove(f"{key}-cert.pub")
        with pytest.raises(LoginRefused):
            connect(server.target(identity_file=str(key)))

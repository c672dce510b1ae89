"""known_hosts files: which line is about which host."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import HostKeyRejected
from crosprov.transport import hostkeys
from crosprov.transport.hostkeys import HostIdentity, Record, parse_line
from tests.support.sshd import keygen

BLOB = b"\0\0\0\x0bssh-ed25519" + bytes(36)
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"


def identity(file: Path, **changes: object) -> HostIdentity:
    values: dict[str, object] = {
        "name": "host1",
        "where": "host1",
        "host": "host1.example.com",
        "port": 22,
        "alias": None,
        "user_files": (file,),
        "system_files": (),
        "accept_new": False,
    }
    return HostIdentity(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        ("host1", "host1", True),
        ("HOST1", "host1", True),
        ("host1", "host11", False),
        ("other,host1", "host1", True),
        ("host1,192.0.2.1", "192.0.2.1", True),
        ("host*", "host1", True),
        ("host?", "host1", True),
        ("host?", "host", False),
        ("*,!host1", "host1", False),
        ("!host1,*", "host2", True),
        ("!host1", "host2", False),
        ("[host1]:2222", "[host1]:2222", True),
        ("[host1]:2222", "host1", False),
        ("[host1]:*", "[host1]:2222", True),
        ("[h]", "h", False),
        ("2001:db8::1", "2001:db8::1", True),
    ],
)
def test_names_and_patterns(hosts: str, host: str, expected: bool) -> None:
    record = parse_line(Path("known_hosts"), 1, f"{hosts} {KEY}")
    assert record is not None
    assert record.names(host) is expected


@given(st.binary(min_size=20, max_size=20), st.text("abc.[]:1", min_size=1))
def test_hashed_names_name_one_host_only(salt: bytes, host: str) -> None:
    digest = hmac.digest(salt, host.encode(), hashlib.sha1)
    parts = "|".join(base64.b64encode(part).decode() for part in (salt, digest))
    record = Record(Path("known_hosts"), 1, "", f"|1|{parts}", "ssh-ed25519", b"")
    assert record.names(host)
    assert not record.names(f"{host}x")


@pytest.mark.parametrize(
    "line",
    ["", "#", "# host1 ssh-rsa AAAA", "host1", "host1 ssh-rsa", "host1 ssh-rsa !", "@revoked x"],
)
def test_what_is_no_record_is_passed_over(line: str) -> None:
    assert parse_line(Path("known_hosts"), 1, line) is None


@given(st.text())
def test_no_line_breaks_the_parser(line: str) -> None:
    record = parse_line(Path("known_hosts"), 1, line)
    assert record is None or record.hosts in line


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("host1.example.com", {}),
        ("host1.example.com", {"host": "Host1.Example.COM"}),
        ("[host1.example.com]:2222", {"port": 2222}),
        ("host1.example.com", {"port": 2222}),
        ("alias", {"alias": "Alias", "port": 2222}),
    ],
)
def test_a_host_is_found_under_its_name(
    tmp_path: Path, line: str, changes: dict[str, object]
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{line} {KEY}\n")
    who = identity(file, **changes)
    assert hostkeys.types_on_record(who) == ["ssh-ed25519"]
    hostkeys.check(who, "ssh-ed25519", BLOB)
    with pytest.raises(HostKeyRejected):
        hostkeys.check(who, "ssh-ed25519", BLOB[:-1] + b"x")


def test_the_systems_file_counts_as_well(tmp_path: Path) -> None:
    system = tmp_path / "ssh_known_hosts"
    system.write_text(f"*.example.com {KEY}\n")
    who = identity(tmp_path / "none", system_files=(system,))
    hostkeys.check(who, "ssh-ed25519", BLOB)


def test_an_alias_hides_the_hosts_own_name(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"host1.example.com {KEY}\n")
    with pytest.raises(HostKeyRejected, match="is not known"):
        hostkeys.check(identity(file, alias="other"), "ssh-ed25519", BLOB)


def test_a_key_is_kept_once_whoever_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    refused: list[HostKeyRejected] = []

    def accept(number: int) -> None:
        try:
            hostkeys.check(identity(file, accept_new=True), "ssh-ed25519", BLOB + bytes([number]))
        except HostKeyRejected as error:
            refused.append(error)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read_text().splitlines()) == 1
    assert len(refused) == 7


def test_without_a_file_a_new_key_cannot_be_kept(tmp_path: Path) -> None:
    who = identity(tmp_path, user_files=(), accept_new=True)
    with pytest.raises(HostKeyRejected, match="no known_hosts file"):
        hostkeys.check(who, "ssh-ed25519", BLOB)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    public = f"{keygen(tmp_path / 'key')}.pub"
    done = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, check=True, text=True)
    blob = base64.b64decode(Path(public).read_text().split()[1])
    assert hostkeys.fingerprint(blob) == done.stdout.split()[1]

from __future__ import annotations

import base64
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import bcrypt
import pytest
from crosprov.deploys.overlord import apply, configuration

from crosprov import derivation
from crosprov.errors import HostSilent, PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.inventory.load import read_lab
from crosprov.operations.certificates import certificates
from crosprov.planning.plan import Shell
from crosprov.roles import factory_server
from tests.support.machine import Machine, summary
from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="keys belong to root")

NAMES = ("localhost", "127.0.0.1", "Factory1.example.com", "2001:db8::1", "192.0.2.7")
SAID = "DNS:factory1.example.com DNS:localhost IP:127.0.0.1 IP:192.0.2.7 IP:2001:db8::1"
# Ends the whole script, as if the host had lost its power, after a number of renames.
MV = """\
#!/bin/sh
/bin/mv "$@" || exit
echo x >> "$STUB_STATE/renames"
[ "$(wc -l < "$STUB_STATE/renames")" != "${STUB_CRASH_AFTER:-0}" ] || kill -9 0
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare these tests the work that is there to make guessing slow."""
    monkeypatch.setattr(derivation, "_WORK", 2)
    monkeypatch.setattr(derivation, "_COST", 4)


def openssl(*words: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates that crosprov makes for NAMES."""
    machine = Machine(tmp_path_factory.mktemp("made"))
    machine.install()
    folder = machine.root / "config"
    folder.mkdir()
    machine.apply(lambda: wish(folder))
    return folder


@pytest.fixture
def folder(machine: Machine, made: Path) -> Path:
    """A copy of them, on a machine of its own."""
    copy = machine.root / "config"
    shutil.copytree(made, copy)
    return copy


def wish(folder: Path, *names: str) -> None:
    certificates(str(folder), "factory1", names or NAMES, restarts=["overlord.container"])


def test_a_certificate_is_made_once(machine: Machine) -> None:
    folder = machine.root / "config"
    folder.mkdir()
    (change,) = machine.apply(lambda: wish(folder))
    assert (str(change.resource), change.action) == (f"certificate {folder}/cert.pem", "create")
    assert change.after["names"] == SAID
    assert machine.due() == ["overlord.container"]
    plan = machine.plan(lambda: wish(folder))
    assert plan.empty
    assert plan.round_trips == 1


def test_it_is_what_browsers_and_ghosts_want(made: Path) -> None:
    assert {path.name: path.stat().st_mode & 0o777 for path in made.iterdir()} == {
        "rootCA.key": 0o600, "rootCA.pem": 0o644, "key.pem": 0o600, "cert.pem": 0o644,
    }  # fmt: skip
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", made / "rootCA.pem",
            "-verify_hostname", "factory1.example.com", made / "cert.pem")  # fmt: skip
    text = openssl("x509", "-noout", "-text", "-in", made / "cert.pem")
    assert "DNS:localhost" in text and "IP Address:192.0.2.7" in text
    assert "CA:FALSE" in text and "TLS Web Server Authentication" in text


def test_a_renewal_keeps_the_root_that_browsers_know(machine: Machine, folder: Path) -> None:
    root = (folder / "rootCA.pem").read_bytes()
    (change,) = machine.apply(lambda: wish(folder, "localhost", "new.example.com"))
    assert change.before == {"names": SAID}
    assert change.after == {
        "names": "DNS:localhost DNS:new.example.com", "good for": "365 days",
        "made anew": "it is for other names",
    }  # fmt: skip
    assert (folder / "rootCA.pem").read_bytes() == root
    assert machine.plan(lambda: wish(folder, "localhost", "new.example.com")).empty


def other_key(folder: Path) -> None:
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", folder / "key.pem")  # fmt: skip


def resign(folder: Path, days: int, root: bool) -> None:
    """Make the certificate, or its root, end sooner."""
    name, options = ("rootCA", []) if root else ("cert", ["-copy_extensions", "copyall"])
    key = folder / ("rootCA.key" if root else "key.pem")
    request, file = folder / "request", folder / f"{name}.pem"
    openssl("x509", "-x509toreq", "-in", file, "-signkey", key, *options, "-out", request)
    signed: list[str | Path] = ["-signkey", key] if root else [
        "-CA", folder / "rootCA.pem", "-CAkey", folder / "rootCA.key", "-set_serial", "7",
    ]  # fmt: skip
    openssl("x509", "-req", "-in", request, *signed, *options, "-days", str(days), "-out", file)
    request.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason", "new_root"),
    [
        (lambda folder: resign(folder, 29, root=False), "it ends within 30 days", False),
        (lambda folder: resign(folder, 300, root=True), "its root certificate is gone", True),
        (lambda folder: (folder / "rootCA.key").unlink(), "its root certificate is gone", True),
        (lambda folder: (folder / "rootCA.pem").write_text("no"), "its root certificate", True),
        (lambda folder: (folder / "key.pem").unlink(), "its key does not belong to it", False),
        (other_key, "its key does not belong to it", False),
    ],
)
def test_what_is_spoilt_is_made_anew(
    machine: Machine, folder: Path, spoil: Callable[[Path], None], reason: str, new_root: bool
) -> None:
    spoil(folder)
    before = (folder / "rootCA.key").read_bytes() if (folder / "rootCA.key").exists() else b""
    (change,) = machine.apply(lambda: wish(folder))
    assert reason in (change.after["made anew"] or "")
    assert ((folder / "rootCA.key").read_bytes() != before) is new_root
    assert machine.plan(lambda: wish(folder)).empty


def test_one_that_is_good_for_31_days_stays(machine: Machine, folder: Path) -> None:
    resign(folder, 31, root=False)
    assert machine.plan(lambda: wish(folder)).empty


def test_a_key_that_others_may_read_is_closed_without_a_restart(
    machine: Machine, folder: Path
) -> None:
    (folder / "key.pem").chmod(0o644)
    (change,) = machine.apply(lambda: wish(folder))
    assert change.before == {"access to key.pem": "644 root:root"}
    assert machine.due() == []
    assert machine.plan(lambda: wish(folder)).empty


def stranger(folder: Path, *names: str) -> None:
    """Make a certificate as a company's own authority might."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/O=ACME/CN=x",
            "-addext", f"subjectAltName={','.join(names)}", "-keyout", folder / "key.pem",
            "-out", folder / "cert.pem")  # fmt: skip
    (folder / "key.pem").chmod(0o600)


def test_a_certificate_of_somebody_else_stays(machine: Machine) -> None:
    stranger(machine.root, "DNS:localhost")
    plan = machine.plan(lambda: wish(machine.root, "localhost", "192.0.2.7"))
    assert plan.empty
    assert [notice for notice in plan.notices if "ACME" in notice and "192.0.2.7" in notice]
    assert not machine.plan(lambda: wish(machine.root, "localhost")).notices


def test_somebody_else_s_files_that_do_not_fit_are_left_alone(machine: Machine) -> None:
    stranger(machine.root, "DNS:localhost")
    other_key(machine.root)
    with pytest.raises(PlanError, match="does not belong to it"):
        machine.plan(lambda: wish(machine.root))
    (machine.root / "cert.pem").unlink()
    with pytest.raises(PlanError, match="without a cert.pem"):
        machine.plan(lambda: wish(machine.root))


@pytest.mark.parametrize(
    ("first", "after"), [(True, 1), (True, 2), (True, 3), (True, 4), (False, 2), (False, 3)]
)
def test_a_run_that_was_killed_is_finished(
    machine: Machine, folder: Path, first: bool, after: int
) -> None:
    (machine.root / "bin/mv").write_text(MV)
    (machine.root / "bin/mv").chmod(0o755)
    if first:
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        (folder / "rootCA.pem").unlink()
    with pytest.raises(HostSilent):
        machine.apply(lambda: wish(folder), STUB_CRASH_AFTER=str(after))
    assert machine.due() == ["overlord.container"]
    machine.apply(lambda: wish(folder))
    assert machine.plan(lambda: wish(folder)).empty
    assert sorted(path.name for path in folder.iterdir()) == [
        "cert.pem", "key.pem", "rootCA.key", "rootCA.pem",
    ]  # fmt: skip


# Some interface that this machine has.
OWN = next(name for _, name in socket.if_nameindex() if name != "lo")
INVENTORY = """
lab: demo
hosts:
  factory1:
    ssh: {{host: 192.0.2.7}}
    factory_server:
      shared_dir: {shared}
      overlord: {{http_port: {port}, user: op, password: {{file: {file}}}{more}}}
"""


def read(
    machine: Machine, port: int = 9000, more: str = "", password: str = "hunter2"
) -> tuple[Lab, Host]:
    file = machine.root / f"password-{sha256(password.encode()).hexdigest()[:8]}"
    file.write_text(f"{password}\n")
    shared = f"{machine.root}/shared"
    text = INVENTORY.format(shared=shared, port=port, more=more, file=file)
    lab = read_lab(text, machine.root / "inventory.yml")
    return lab, lab.hosts["factory1"]


def wanted(machine: Machine, port: int = 9000, more: str = "") -> Callable[[], None]:
    lab, host = read(machine, port, more)
    settings = host.settings(factory_server.Settings)
    return lambda: apply(lab, host, settings)


@pytest.fixture
def docker(machine: Machine) -> Machine:
    """A host with a docker that has the image, and all packages."""
    (machine.stubs / "dpkg").write_text("curl amd64 installed 7\nopenssl amd64 installed 3\n")
    images = '{"cros/factory_server": "sha256:aa"}'
    (machine.stubs / "docker.json").write_text(
        f'{{"containers": {{}}, "images": {images}, "next": 1}}'
    )
    return machine


def test_the_plan_says_all_that_comes(docker: Machine) -> None:
    plan = docker.plan(wanted(docker, more=f", lan_interface: {OWN}"))
    config = f"{docker.root}/shared/overlord/config"
    assert summary(plan) == [
        f"+ directory {docker.root}/shared/overlord",
        f"+ directory {config}",
        f"+ file {config}/overlord.htpasswd",
        f"+ file {config}/ovl_password",
        f"+ certificate {config}/cert.pem",
        "+ container overlord",
        "+ container overlord_lan_disc",
    ]
    assert "hunter2" not in plan.model_dump_json()


def test_a_network_interface_that_is_not_there_is_refused(docker: Machine) -> None:
    with pytest.raises(PlanError, match="has no such network interface"):
        docker.plan(wanted(docker, more=", lan_interface: nosuch7"))


@pytest.fixture
def daemon(docker: Machine) -> Iterator[int]:
    """The stand-in's daemon, with the files that crosprov wrote for it; gives its port."""
    lab, host = read(docker)
    settings = host.settings(factory_server.Settings)
    assert settings.overlord is not None
    docker.apply(partial(configuration, lab, host, settings, settings.overlord))
    config = docker.root / "shared/overlord/config"
    words = ["-tls", f"{config}/cert.pem,{config}/key.pem",
             "-htpasswd-path", f"{config}/overlord.htpasswd"]  # fmt: skip
    ports = {"OVERLORD_PORT": str(free_port()), "OVERLORD_HTTP_PORT": str(free_port())}
    program = [sys.executable, "-m", "crosprov.twin.factory.overlord", *words]
    process = subprocess.Popen(
        program, env={**os.environ, **ports}, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        yield int(ports["OVERLORD_HTTP_PORT"])
    finally:
        process.terminate()
        process.communicate()


def test_it_runs_and_lets_in_who_has_the_password(docker: Machine, daemon: int) -> None:
    docker.apply(wanted(docker, daemon))
    plan = docker.plan(wanted(docker, daemon))
    assert plan.empty
    assert plan.about["Overlord"] == f"runs (https, port {daemon})"
    assert docker.due() == []
    config = docker.root / "shared/overlord/config"
    tool = (config / "ovl_password").read_text().strip()
    assert ask(config, daemon, "op", "hunter2") == ask(config, daemon, "ovl", tool) == (200, "[]")
    assert ask(config, daemon, "op", tool)[0] == ask(config, daemon, "ovl", "hunter2")[0] == 401
    assert {path.name: path.stat().st_mode & 0o777 for path in config.iterdir()} == {
        "rootCA.key": 0o600, "rootCA.pem": 0o644, "key.pem": 0o600, "cert.pem": 0o644,
        "overlord.htpasswd": 0o600, "ovl_password": 0o600,
    }  # fmt: skip


def ask(config: Path, port: int, user: str, password: str) -> tuple[int, str]:
    """Ask as a program that trusts the root certificate and nothing else."""
    context = ssl.create_default_context(cafile=config / "rootCA.pem")
    words = base64.b64encode(f"{user}:{password}".encode()).decode()
    web = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    try:
        web.request("GET", "/api/agents/list", headers={"Authorization": f"Basic {words}"})
        answer = web.getresponse()
        return answer.status, answer.read().decode()
    finally:
        web.close()


def test_the_status_tells_whether_it_is_announced(docker: Machine, daemon: int) -> None:
    more = f", lan_interface: {OWN}"
    first = docker.plan(wanted(docker, daemon, more))
    assert first.about[f"Overlord on {OWN}"] == "not announced: not there"
    docker.carry_out(first)
    plan = docker.plan(wanted(docker, daemon, more))
    assert plan.empty
    assert plan.about[f"Overlord on {OWN}"] == "announced"


def test_a_daemon_that_asks_nobody_for_a_password_is_not_ready(
    docker: Machine,
) -> None:
    plan = docker.plan(wanted(docker))
    (change,) = [change for change in plan.changes if change.resource.name == "overlord"]
    (step,) = change.steps
    assert isinstance(step, Shell)
    assert "\n      401) return 0;;" in step.command


def test_another_password_restarts_it(docker: Machine, daemon: int) -> None:
    docker.apply(wanted(docker, daemon))
    lab, host = read(docker, daemon, password="hunter3")
    plan = docker.plan(lambda: apply(lab, host, host.settings(factory_server.Settings)))
    assert [line.rpartition("/")[2] for line in summary(plan)] == [
        "overlord.htpasswd", "ovl_password", "> container overlord",
    ]  # fmt: skip
    for change in plan.changes[:2]:
        assert change.diff and "$2y$" not in change.diff


def test_go_and_apache_know_the_hashes(docker: Machine, daemon: int) -> None:
    file = docker.root / "shared/overlord/config/overlord.htpasswd"
    accounts = dict(line.split(":") for line in file.read_text().splitlines())
    assert list(accounts) == ["op", "ovl"]
    assert all(value.startswith("$2y$04$") for value in accounts.values())
    assert bcrypt.checkpw(b"hunter2", accounts["op"].encode())


@pytest.mark.parametrize("password", ["x" * 73, "tab\there", "ä" * 37])
def test_a_password_that_cannot_be_compared_is_refused(docker: Machine, password: str) -> None:
    lab, host = read(docker, password=password)
    with pytest.raises(PlanError, match="longer than 72 bytes or has signs"):
        docker.plan(lambda: apply(lab, host, host.settings(factory_server.Settings)))


def test_what_is_no_longer_declared_stays_and_is_told(docker: Machine, daemon: int) -> None:
    docker.apply(wanted(docker, daemon))
    lab, host = read(docker)
    without = host.settings(factory_server.Settings).model_copy(update={"overlord": None})
    plan = docker.plan(lambda: apply(lab, host, without))
    assert plan.empty
    assert [notice for notice in plan.notices if "the container overlord is of crosprov" in notice]

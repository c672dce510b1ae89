"""A lab that is booted once: what its twins are and can do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec, find_labs
from tests.support.waiting import until
from tests.twin.conftest import LAB_SPEC, Run, print_nothing, ssh
from tests.twin.survey import traces

pytestmark = pytest.mark.lab


def test_servers_run_a_whole_systemd(run: Run) -> None:
    for name in ("dev1", "mirror1"):
        assert run(name, "systemctl is-system-running").stdout == "running\n"
        assert run(name, "hostname").stdout == f"{name}\n"
        assert run(name, "command -v python3").returncode != 0


def test_the_inventory_s_user_logs_in_and_becomes_root_without_a_prompt(
    lab: TwinLab, run: Run
) -> None:
    target = lab.target("dev1")
    assert (target.user, target.sudo, target.use_ssh_config) == ("ops", True, False)
    assert run("dev1", "id -un; sudo -n id -un").stdout == "ops\nroot\n"
    assert (lab.target("dut01").user, lab.target("dut01").sudo) == ("root", False)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("mirror1", "10.0.0.6"),
        ("dut01", "dev1"),
        ("dev1", "mirror1.example.com"),
        ("dev1", "10.0.1.1"),
    ],
)
def test_twins_reach_each_other_by_inventory_addresses(run: Run, here: str, there: str) -> None:
    assert run(here, f"ping -c 1 -W 5 {there}", user="root").returncode == 0
    assert "dev lab0" in run(here, f"ip route get $(getent hosts {there} | cut -d' ' -f1)").stdout


@pytest.mark.parametrize("name", ["mirror1", "dut01"])
def test_a_reboot_comes_back_by_itself_as_another_boot(lab: TwinLab, run: Run, name: str) -> None:
    def boot() -> str:
        return run(name, "cat /proc/sys/kernel/random/boot_id").stdout

    before, state = boot(), {twin.name: twin for twin in lab.list()}[name]
    run(name, "reboot")
    until(lambda: boot() not in ("", before), within=60)
    assert {twin.name: twin for twin in lab.list()}[name] == state
    assert run(name, "ping -c 1 -W 5 10.0.0.6").returncode == 0


def test_http_passes_between_twins(run: Run) -> None:
    serve = "mkdir -p /srv/www && echo hello >/srv/www/index.html"
    started = run("mirror1", f"{serve} && busybox httpd -p 8765 -h /srv/www")
    assert started.returncode == 0, started.stderr
    for there in ("mirror1", "mirror1.example.com", "198.18.0.1"):
        assert run("dut01", f"curl -fsS http://{there}:8765/").stdout == "hello\n"


def test_this_machine_has_no_route_into_the_lab(lab: TwinLab) -> None:
    routes = Path("/proc/net/route").read_text().split()
    assert "0600000A" not in routes  # 10.0.0.6
    assert traces(lab.state_dir)["links"]


def test_what_is_written_on_a_twin_is_seen_in_its_upper_directory(lab: TwinLab, run: Run) -> None:
    run("mirror1", "echo yes >/etc/written-here; rm /etc/issue.net")
    assert (lab.upper("mirror1") / "etc/written-here").read_text() == "yes\n"
    assert (lab.upper("mirror1") / "etc/issue.net").is_char_device()
    assert not (lab.upper("dev1") / "etc/written-here").exists()
    assert not list(lab.upper("dut01").iterdir())


def test_apt_installs_packages_and_they_are_kept_for_other_twins(lab: TwinLab, run: Run) -> None:
    done = run("dev1", "sudo apt-get install -y -q --no-install-recommends nginx-light")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("dut01", "curl -fsSI http://10.0.0.6/").stdout.startswith("HTTP/1.1 200")
    lab.stop("dev1")
    kept = {path.name.partition("_")[0] for path in (lab.cache_dir / "archives").glob("*.deb")}
    lab.start("dev1")
    assert "nginx-light" in kept
    assert run("dev1", "systemctl is-active nginx").stdout == "active\n"


def test_a_second_up_does_nothing(lab: TwinLab) -> None:
    before = lab.list()
    said: list[str] = []
    lab.up(said.append)
    assert said == ["lab tests: all 3 twins are up already"]
    assert lab.list() == before


def test_another_process_finds_the_lab_by_its_directory(lab: TwinLab) -> None:
    found = TwinLab.at(lab.state_dir)
    assert found.spec == LAB_SPEC
    assert found.list() == lab.list()
    assert all(status.running for status in found.list())
    assert lab.state_dir in {other.state_dir for other in find_labs()}


def test_a_lab_that_is_up_with_other_hosts_is_left_alone(lab: TwinLab) -> None:
    other = TwinSpec("tests", (TwinHost("dev1", "10.0.0.7", Kind.LIGHT),))
    with pytest.raises(TwinError, match="up with other hosts") as caught:
        TwinLab(other, state_dir=lab.state_dir).up(print_nothing)
    assert caught.value.hint
    assert all(status.running for status in lab.list())


def test_two_labs_with_the_same_addresses_do_not_see_each_other(
    lab: TwinLab, run: Run, tmp_path: Path
) -> None:
    spec = TwinSpec("tests", (TwinHost("other", "10.0.0.6", Kind.LIGHT),))
    # The kernel's own separators in a path must not end an overlay's option.
    other = TwinLab(spec, state_dir=tmp_path / "a,b:c d%h")
    try:
        other.up(print_nothing)
        assert other.list()[0].management not in {status.management for status in lab.list()}
        key = (lab.state_dir / "hosts/dev1/host_key.pub").read_text().split()[1]
        assert key in run("mirror1", "ssh-keyscan -t ed25519 -T 5 10.0.0.6").stdout
        assert ssh(other, "other", "hostname; ip route get 10.0.1.1").stdout.startswith("other\n")
    finally:
        other.down(print_nothing)
    assert traces(other.state_dir) == {}
    assert all(status.running for status in lab.list())


def test_a_link_that_is_cut_is_silent_until_it_is_healed(lab: TwinLab, run: Run) -> None:
    address = (str(lab.target("mirror1").host), 22)
    lab.cut("mirror1")
    try:
        with pytest.raises(OSError):
            socket.create_connection(address, timeout=0.5)
    finally:
        lab.heal("mirror1")
    assert run("mirror1", "true").returncode == 0

"""A DUT's twin takes updates from the real dev server over Omaha, and runs them after a reboot."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec
from crosprov.twin.payload import Build, write_build
from tests.support.waiting import until
from tests.twin.conftest import print_nothing, ssh

pytestmark = pytest.mark.lab

BUILD = Build("eve", "15663.0.0", 121, size=600_000)
NEXT = replace(BUILD, version="15664.0.0")
DAMAGED = replace(BUILD, version="15665.0.0", wrong_hash=True)
CONTRADICTED = replace(BUILD, version="15666.0.0", wrong_metadata=True)
OTHER_BOARD = Build("kevin", "15667.0.0", 121, size=1000)
BUILDS = (BUILD, NEXT, DAMAGED, CONTRADICTED, OTHER_BOARD)

HTTP_ERROR = "http://127.0.0.1:9/update"
BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Dut:
    """The DUT, and the dev server as it reaches it."""

    lab: TwinLab
    server: str

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return ssh(self.lab, "dut01", command)

    def client(self, flags: str) -> subprocess.CompletedProcess[str]:
        return self.run(f"update_engine_client {flags}")

    def update(self, build: Build) -> subprocess.CompletedProcess[str]:
        return self.client(f"--update --omaha_url={self.server}/update/{build.label}")

    def status(self, key: str = "CURRENT_OP") -> str:
        found = re.search(rf"^{key}=(.*)$", self.client("--status").stdout, re.MULTILINE)
        return found[1].removeprefix("UPDATE_STATUS_") if found else ""

    def error(self) -> str:
        return self.client("--last_attempt_error").stdout

    def version(self) -> str:
        return self.run("sed -n s/^CHROMEOS_RELEASE_VERSION=//p /etc/lsb-release").stdout.strip()

    def fault(self, name: str, content: str = "") -> Path:
        path = self.lab.stateful("dut01") / "twin_faults" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    def reboot(self) -> None:
        before = self.run(f"cat {BOOT_ID}").stdout
        self.run("reboot")
        until(lambda: self.run(f"cat {BOOT_ID}").stdout not in ("", before), within=30)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dut]:
    """One DUT, and the dev server on this machine, which the DUT reaches by its gateway."""
    folder = tmp_path_factory.mktemp("updates")
    static, port = folder / "static", folder / "port"
    for build in BUILDS:
        write_build(static / build.label, build)
    spec = TwinSpec("tests-updates", (TwinHost("dut01", "10.63.1.1", Kind.DUT, board="eve"),))
    lab = TwinLab(spec, state_dir=folder / "state")
    words = f"--static_dir {static} --port 0 --portfile {port} --host 0.0.0.0".split()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            (sys.executable, "-m", "crosprov.devserver", *words), stdout=log, stderr=log
        )
    try:
        lab.up(print_nothing)
        until(lambda: port.exists() or server.poll() is not None, within=30)
        route = ssh(lab, "dut01", "ip route show default").stdout
        yield Dut(lab, f"http://{route.split()[2]}:{port.read_text().strip()}")
    finally:
        server.send_signal(signal.SIGTERM)
        lab.down(print_nothing)
        server.wait(30)


@pytest.fixture
def dut(booted: Dut) -> Iterator[Dut]:
    """The DUT as it was booted first: no update, no faults, no override."""
    yield booted
    stateful = booted.lab.stateful("dut01")
    for path in (*stateful.glob("twin_faults/*"), *stateful.glob("etc/lsb-release")):
        path.unlink()
    booted.run("stop update-engine; start update-engine; update_engine_client --reset_status")


def test_an_update_is_installed_and_runs_after_the_reboot(dut: Dut) -> None:
    assert (dut.version(), dut.status()) == ("15662.0.0", "IDLE")
    done = dut.update(BUILD)
    assert done.returncode == 0, done.stderr
    assert "Update succeeded -- reboot needed." in done.stderr
    assert (dut.status(), dut.status("NEW_VERSION")) == ("UPDATED_NEED_REBOOT", "15663.0.0")
    assert dut.client("--is_reboot_needed").returncode == 0
    assert dut.version() == "15662.0.0"
    assert dut.run("restart update-engine").returncode == 0
    assert dut.status() == "UPDATED_NEED_REBOOT"
    assert dut.update(NEXT).returncode == 0  # it waits for its reboot and takes nothing else

    dut.reboot()
    assert (dut.version(), dut.status()) == ("15663.0.0", "IDLE")
    release = dut.run("cat /etc/lsb-release; : >>/etc/lsb-release")
    assert "CHROMEOS_RELEASE_BUILDER_PATH=eve-release/R121-15663.0.0\n" in release.stdout
    assert "CHROMEOS_RELEASE_CHROME_MILESTONE=121\n" in release.stdout
    assert "Read-only file system" in release.stderr
    assert "Previous version = 15662.0.0" in dut.client("--prev_version").stderr
    assert dut.client("--is_reboot_needed").returncode == 2

    dut.lab.restart("dut01")
    assert dut.version() == "15663.0.0"
    dut.run("rm -rf /mnt/stateful_partition/twin_faults")
    assert dut.client("--check_for_update").returncode == 0
    log = "/var/log/update_engine.log"
    until(lambda: "kUnresolvedHostError" in dut.error())
    assert "http://build.example.com:8080/update" in dut.run(f"cat {log}").stdout


@pytest.mark.parametrize(
    ("build", "code", "name"),
    [
        (DAMAGED, 47, "kFilesystemVerifierError"),
        (CONTRADICTED, 53, "kNoUpdate"),
        (replace(BUILD, version="1.2.3"), 53, "kNoUpdate"),
        (OTHER_BOARD, 5, "kPostinstallRunnerError"),
    ],
)
def test_a_build_that_does_not_fit_changes_nothing(
    dut: Dut, build: Build, code: int, name: str
) -> None:
    before = dut.version()
    done = dut.update(build)
    assert done.returncode == 1
    last = f"current operation is UPDATE_STATUS_IDLE, last error code is ErrorCode::{name}({code})"
    assert last in done.stderr
    assert dut.error() == f"ERROR_CODE={code}\nERROR_MESSAGE=ErrorCode::{name}\n"
    assert (dut.status(), dut.client("--is_reboot_needed").returncode) == ("IDLE", 2)
    assert dut.version() == before


@pytest.mark.parametrize(
    ("fault", "content", "code"), [("damage", "", 10), ("install", "60", 60), ("install", "7", 7)]
)
def test_faults_have_their_codes(dut: Dut, fault: str, content: str, code: int) -> None:
    dut.fault(fault, content)
    assert f"({code})" in dut.update(NEXT).stderr
    assert dut.error().startswith(f"ERROR_CODE={code}\n")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (HTTP_ERROR, 37),
        ("SERVER/update/%2e%2e/x", 37),
        ("SERVER/static/nothing", 37),
        ("http://nowhere.invalid/update", 58),
    ],
)
def test_a_server_that_does_not_answer_has_its_code(dut: Dut, url: str, code: int) -> None:
    done = dut.client(f"--update --omaha_url={url.replace('SERVER', dut.server)}")
    assert (done.returncode, f"({code})" in done.stderr) == (1, True), done.stderr


def test_the_stateful_override_is_heard_where_it_may_be(dut: Dut) -> None:
    stateful, firmware = dut.lab.stateful("dut01"), dut.lab.firmware("dut01")
    (stateful / "etc/lsb-release").write_text(
        f"# a comment\nCHROMEOS_AUSERVER=http://first.invalid/\n CHROMEOS_AUSERVER ={dut.server}"
        f"/update/{DAMAGED.label}\nno equals sign\nCHROMEOS_AUSERVER=http://late.invalid/\n"
    )
    assert "(47)" in dut.client("--check_for_update --follow").stderr
    normal = firmware.read_text()
    try:
        firmware.write_text(normal.replace("=1\n", "=0\n"))  # official and verified
        assert "(58)" in dut.client("--check_for_update --follow").stderr
        # and a URL that is given is not heard there either
        assert "(58)" in dut.update(DAMAGED).stderr
    finally:
        firmware.write_text(normal)


def test_a_blank_behind_the_url_breaks_it_as_on_a_real_dut(dut: Dut) -> None:
    release = dut.lab.stateful("dut01") / "etc/lsb-release"
    release.write_text(f"CHROMEOS_AUSERVER={dut.server}/update/{DAMAGED.label}\r\n")
    assert "(37)" in dut.client("--check_for_update --follow").stderr


def test_a_download_is_seen_and_ends_with_its_job(dut: Dut) -> None:
    dut.fault("slow", "20000")
    begin = f"--check_for_update --omaha_url={dut.server}/update/{NEXT.label}"
    assert dut.client(begin).returncode == 0
    until(lambda: dut.status() == "DOWNLOADING" and float(dut.status("PROGRESS")) > 0)
    assert int(dut.status("NEW_SIZE")) > 600_000
    busy = dut.client(begin)
    assert (busy.returncode, "Error checking for update." in busy.stderr) == (1, True)
    assert dut.client("--reset_status").returncode == 1
    assert dut.run("stop update-engine").returncode == 0
    assert dut.run("pgrep -x curl").returncode == 1
    assert dut.client("--status").returncode == 1
    assert dut.run("start update-engine").returncode == 0
    assert dut.status() == "IDLE"


def test_an_update_can_be_given_up_before_the_reboot(dut: Dut) -> None:
    before = dut.version()
    assert dut.update(NEXT).returncode == 0
    assert dut.client("--reset_status").returncode == 0
    assert dut.status() == "IDLE"
    dut.reboot()
    assert dut.version() == before


def test_a_dut_may_fall_back_to_what_it_ran(dut: Dut) -> None:
    before = dut.version()
    assert dut.update(NEXT).returncode == 0
    dut.fault("falls_back")
    dut.reboot()
    assert dut.version() == before


def test_a_dut_may_not_come_back(dut: Dut) -> None:
    fault = dut.fault("does_not_come_back")
    dut.run("reboot")

    def answers() -> bool:
        return dut.run("true").returncode == 0

    until(lambda: not answers(), within=30)
    console = dut.lab.state_dir / "hosts/dut01/console.log"
    until(lambda: "does not come back" in console.read_text(errors="replace"), within=30)
    assert not answers()
    fault.unlink()
    dut.lab.restart("dut01")
    assert answers()


def test_the_channel_is_set_as_the_original_does(dut: Dut) -> None:
    release = dut.lab.stateful("dut01") / "etc/lsb-release"
    release.write_text("# lost\nCHROMEOS_AUSERVER=http://dev1:8080/update\n")
    assert dut.client("--channel=beta-channel --nopowerwash").returncode == 0
    assert release.read_text() == (
        "CHROMEOS_AUSERVER=http://dev1:8080/update\nCHROMEOS_IS_POWERWASH_ALLOWED=false\n"
        "CHROMEOS_RELEASE_TRACK=beta-channel\n"
    )
    shown = dut.client("--show_channel").stderr
    assert "Current Channel: testimage-channel" in shown
    assert "Target Channel (pending update): beta-channel" in shown
    assert dut.client("--channel=nonsense").returncode == 1


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ("status", 1, "Found a positional argument 'status'"),
        ("--status --follow", 1, "Multiple exclusive options selected."),
        ("--rollback", 1, "does not imitate --rollback"),
        ("-status", 0, "Querying"),
        ("--reset_status", 0, "ResetStatus succeeded"),
        ("--reboot", 0, "Requesting a reboot..."),  # only when one is needed
    ],
)
def test_flags_are_taken_as_by_the_original(
    dut: Dut, flags: str, status: int, message: str
) -> None:
    done = dut.client(flags)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr


def test_a_boot_has_an_identity_of_its_own(dut: Dut) -> None:
    here = Path(BOOT_ID).read_text()
    first = dut.run(f"cat {BOOT_ID}").stdout
    dut.lab.restart("dut01")
    second = dut.run(f"cat {BOOT_ID}; cat {BOOT_ID}").stdout.splitlines()
    assert len({here.strip(), first.strip(), second[0]}) == 3
    assert second[0] == second[1]

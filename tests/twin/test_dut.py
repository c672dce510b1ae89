"""What a DUT twin is: a read-only root, a stateful partition, imitated tools."""

from __future__ import annotations

import pytest

from crosprov.errors import TwinError
from crosprov.twin import TwinLab
from tests.twin.conftest import Run

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("command", "status", "stdout", "stderr"),
    [
        ("touch /file", 1, "", "Read-only file system"),
        ("touch /var/file /tmp/file /usr/local/file", 0, "", ""),
        ("cp /usr/bin/true /tmp && /tmp/true", 126, "", "Permission denied"),
        ("cp /usr/bin/true /usr/local && /usr/local/true", 0, "", ""),
        ("readlink /bin/sh", 0, "dash\n", ""),
        ("echo $PATH", 0, "/usr/bin:/bin:/usr/sbin:/sbin\n", ""),
        ("command -v apt apt-get dpkg python3 perl systemctl service", 1, "", ""),
        ("ls /usr/lib/openssh/sftp-server", 2, "", "No such file"),
        ("grep BOARD /etc/lsb-release", 0, "CHROMEOS_RELEASE_BOARD=eve\n", ""),
        ("initctl version", 0, "init (upstart 1.13.2)\n", ""),
        ("start nothing", 1, "", "start: Unknown job: nothing\n"),
        ("start", 1, "", "start: missing job name\n"),
        ("initctl emit x", 1, "", "imitates"),
        ("crossystem devsw_boot debug_build wpsw_cur mainfw_type", 0, "1 1 0 developer", ""),
        ("crossystem 'devsw_boot?1'", 0, "", ""),
        ("crossystem 'devsw_boot?0'", 1, "", ""),
        ("crossystem nothing", 1, "", "Invalid parameter name: nothing\n"),
        ("crossystem nothing=1", 1, "", "Invalid parameter name: nothing\n"),
        ("update_engine_client --rollback", 1, "", "does not imitate --rollback"),
        ("update_engine_client --is_reboot_needed", 2, "", ""),
        ("update_engine_client --show_channel", 0, "", "Current Channel: testimage-channel"),
    ],
)
def test_commands_answer_as_on_a_test_image(
    run: Run, command: str, status: int, stdout: str, stderr: str
) -> None:
    done = run("dut01", command)
    assert (done.returncode, done.stdout) == (status, stdout), done.stderr
    assert stderr in done.stderr


def test_a_job_is_started_and_stopped_once(run: Run) -> None:
    def state() -> str:
        return run("dut01", "status update-engine").stdout.partition(",")[0].strip()

    assert state() == "update-engine start/running"
    again = run("dut01", "start update-engine")
    assert (again.returncode, again.stderr) == (1, "start: Job is already running: update-engine\n")

    assert run("dut01", "stop update-engine").stdout == "update-engine stop/waiting\n"
    assert run("dut01", "initctl list").stdout == "update-engine stop/waiting\n"
    assert run("dut01", "stop update-engine").returncode == 1
    assert run("dut01", "restart update-engine").returncode == 1
    assert run("dut01", "update_engine_client --status").returncode == 1

    assert run("dut01", "start update-engine").returncode == 0
    before = run("dut01", "status update-engine").stdout
    assert run("dut01", "restart update-engine").returncode == 0
    assert state() == "update-engine start/running"
    assert run("dut01", "status update-engine").stdout != before
    assert "CURRENT_OP=UPDATE_STATUS_IDLE\n" in run("dut01", "update_engine_client --status").stdout


def test_the_stateful_partition_survives_a_power_cycle_and_var_does_not(
    lab: TwinLab, run: Run
) -> None:
    release = "/mnt/stateful_partition/etc/lsb-release"
    run("dut01", f"echo CHROMEOS_RELEASE_TRACK=dev-channel >{release}; touch /var/gone")
    lab.restart("dut01")
    assert run("dut01", "ls /var/gone").returncode == 2
    assert (lab.stateful("dut01") / "etc/lsb-release").read_text().endswith("=dev-channel\n")
    shown = run("dut01", "update_engine_client --show_channel").stderr
    assert "Target Channel (pending update): dev-channel" in shown
    (lab.stateful("dut01") / "etc/lsb-release").unlink()


def test_firmware_values_come_from_a_file_and_can_be_set(lab: TwinLab, run: Run) -> None:
    normal = lab.firmware("dut01").read_text()
    lab.firmware("dut01").write_text("debug_build=0\ndevsw_boot=0\n")
    assert run("dut01", "crossystem debug_build devsw_boot").stdout == "0 0"
    assert run("dut01", "crossystem devsw_boot=1 && crossystem devsw_boot").stdout == "1"
    assert lab.firmware("dut01").read_text() == "debug_build=0\ndevsw_boot=1\n"
    lab.firmware("dut01").write_text(normal)


def test_a_server_has_no_stateful_partition(lab: TwinLab) -> None:
    with pytest.raises(TwinError, match="dev1 is not a DUT"):
        lab.stateful("dev1")

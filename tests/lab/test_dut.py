"""Twenty DUTs of one dev server: pointed at it, updated by it, and what goes wrong with that."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crosprov.twin.payload import Build, write_build
from tests.lab.labs import REPOSITORY, Lab, booted, differences, survey, told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

A = "eve-release/R120-15662.0.0"
B = Build("eve", "15663.0.0", 121, size=4 * 1024 * 1024)
DAMAGED = "eve-full/R121-15663.0.0"  # its payload says another hash than it has
LSB = "/mnt/stateful_partition/etc/lsb-release"
BUCKET = "/opt/bucket"
DUTS = tuple(f"dut{number:02}" for number in range(1, 21))


def inventory(port: int = 8080, wanted: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Give a dev server, whose builds come from a bucket beside it, and its DUTs."""
    server = {"port": port, "archive": "gs://builds", "storage_endpoint": "http://10.0.0.6:9000"}
    duts = {
        name: {
            "ssh": {"host": f"10.0.1.{number}"},
            "dut": {"board": "eve", "dev_server": "dev1", **(wanted or {}).get(name, {})},
        }
        for number, name in enumerate(DUTS, 1)
    }
    hosts = {"dev1": {"ssh": {"host": "10.0.0.6"}, "dev_server": server}, **duts}
    return json.dumps({"lab": "NAME", "hosts": hosts})


@dataclass(frozen=True)
class Start:
    """The lab's first apply, the plan after it, and the addresses of the DUTs then."""

    lab: Lab
    outcomes: dict[str, str]
    plan: subprocess.CompletedProcess[str]
    addresses: dict[str, list[str]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The lab, all DUTs pointed at the dev server, with a bucket that holds build B."""
    with booted(tmp_path_factory.mktemp("dut"), inventory()) as one:
        done = apply(one)
        assert done.returncode == 0, told(done)
        plan = one.crosprov("plan", "--detailed-exitcode", "--format", "json")
        lines = {name: addresses(one, name) for name in DUTS}
        serve_builds(one, tmp_path_factory.mktemp("bucket"))  # with the Python that it now has
        yield Start(one, {name: of["outcome"] for name, of in hosts(done).items()}, plan, lines)


@pytest.fixture
def lab(start: Start) -> Lab:
    """The lab; a test has DUTs of its own in it."""
    return start.lab


def serve_builds(lab: Lab, folder: Path) -> None:
    """Let the bucket server of the tests run on the dev server."""
    write_build(folder / "seed" / "builds" / B.label, B)
    write_build(folder / "seed" / "builds" / DAMAGED, replace(B, wrong_hash=True))
    shutil.copytree(REPOSITORY / "tests" / "support" / "bucket", folder / "bucket")
    archive = subprocess.run(
        ["tar", "-C", folder, "-cf", "-", "."], capture_output=True, check=True
    )
    unpack = f"mkdir -p {BUCKET} && tar -C {BUCKET} -xf -"
    command = [*lab.twin.ssh_command("dev1", user="root"), unpack]
    subprocess.run(command, input=archive.stdout, check=True, timeout=60)
    lab.must(
        "dev1",
        f"systemd-run -q -u bucket --working-directory={BUCKET} "
        f"python3 -m bucket --host 0.0.0.0 --port 9000 --seed {BUCKET}/seed",
    )


def hosts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Give what a JSON report says of each host."""
    return {host["host"]: host for host in json.loads(done.stdout)["hosts"]}


def addresses(lab: Lab, name: str) -> list[str]:
    return (lab.twin.stateful(name) / "etc/lsb-release").read_text().splitlines()


def pointed_at(port: int) -> list[str]:
    return [
        f"CHROMEOS_AUSERVER=http://10.0.0.6:{port}/update",
        f"CHROMEOS_DEVSERVER=http://10.0.0.6:{port}",
    ]


def release(lab: Lab, name: str) -> str:
    return lab.must(name, "sed -n s/^CHROMEOS_RELEASE_BUILDER_PATH=//p /etc/lsb-release").strip()


def fault(lab: Lab, name: str, kind: str, content: str = "") -> Path:
    """Let a twin's update engine or its boot go wrong; the file says it until it is removed."""
    folder = lab.twin.stateful(name) / "twin_faults"
    folder.mkdir(exist_ok=True)
    (folder / kind).write_text(content)
    return folder / kind


def apply(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    return lab.crosprov("apply", "--yes", "--format", "json", *arguments)


def test_twenty_duts_are_pointed_at_one_dev_server(start: Start) -> None:
    assert start.outcomes == dict.fromkeys(("dev1", *DUTS), "changed")
    assert start.addresses == dict.fromkeys(DUTS, pointed_at(8080))
    assert start.plan.returncode == 0, told(start.plan)
    planned = hosts(start.plan)
    assert {name: planned[name]["round_trips"] for name in DUTS} == dict.fromkeys(DUTS, 1)
    assert {name: planned[name]["notices"] for name in DUTS} == dict.fromkeys(DUTS, [])


def test_a_status_tells_what_each_dut_is(lab: Lab) -> None:
    lab.write(inventory())
    done = lab.crosprov("status", "--format", "json", "--limit", "dut20")
    assert hosts(done)["dut20"]["about"] == {
        "board": "eve",
        "release version": "15662.0.0",
        "channel": "testimage-channel",
        "updates from": "http://10.0.0.6:8080/update",
        "update engine": "idle",
    }


def test_duts_follow_their_dev_server_to_another_port_once_it_is_up_there(lab: Lab) -> None:
    some = DUTS[:3]
    chosen = ("--limit", ",".join(("dev1", *some)))
    before = {name: survey(lab.twin.stateful(name)) for name in some}
    lab.write(inventory(port=8090))
    with down(lab):
        done = apply(lab, *chosen)
        alone = apply(lab, "--limit", "dut01")
    assert (done.returncode, alone.returncode) == (4, 4), told(done) + told(alone)
    report = hosts(done)
    assert report["dev1"]["outcome"] == "failed"
    for name in some:
        assert (report[name]["outcome"], report[name]["blocked_by"]) == ("blocked", "dev1")
    assert "this DUT does not reach dev1" in hosts(alone)["dut01"]["message"], told(alone)
    changed = {name: differences(before[name], survey(lab.twin.stateful(name))) for name in some}
    assert changed.pop("dut01") == ["crosprov/journal"]  # it notes what failed
    assert changed == {"dut02": [], "dut03": []}

    mended = apply(lab, *chosen)
    assert mended.returncode == 0, told(mended)
    assert {name: addresses(lab, name) for name in some} == dict.fromkeys(some, pointed_at(8090))
    lab.write(inventory())
    assert apply(lab, *chosen).returncode == 0


@contextmanager
def down(lab: Lab) -> Iterator[None]:
    """Let the dev server not come up, whatever its unit says, and let it again."""
    broken = "/run/systemd/system/devserver.service.d"
    lab.must(
        "dev1",
        f"mkdir -p {broken} && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' "
        f"> {broken}/broken.conf && systemctl daemon-reload && systemctl stop devserver",
    )
    try:
        yield
    finally:
        lab.must("dev1", f"rm -r {broken} && systemctl daemon-reload")


def test_a_wiped_dut_shows_as_drift_and_is_mended(lab: Lab) -> None:
    lab.write(inventory())
    stateful = lab.twin.stateful("dut04")  # host keys would be new, too: that is SSH's matter
    (stateful / "etc/lsb-release").unlink()
    shutil.rmtree(stateful / "crosprov")
    status = lab.crosprov("status", "--format", "json", "--limit", "dut04")
    assert status.returncode == 2, told(status)
    assert hosts(status)["dut04"]["drift"] == [f"create file {LSB}", "run job update-engine"]
    done = apply(lab, "--limit", "dut04")
    assert done.returncode == 0, told(done)
    assert addresses(lab, "dut04") == pointed_at(8080)


def test_duts_are_updated_in_one_apply_and_what_goes_wrong_stays_with_one(lab: Lab) -> None:
    wish = {"version": "R121-15663.0.0"}
    wanted: dict[str, dict[str, Any]] = {
        "dut05": {**wish, "stateful": "update"},
        "dut06": wish,
        "dut07": {"builder_path": DAMAGED},
        "dut08": wish,
        "dut11": {**wish, "reboot": "never"},
        "dut14": {**wish, "reboot_within": 3},
    }
    lab.write(inventory(wanted=wanted))
    chosen = ("--limit", ",".join(("dev1", *wanted)))
    (lab.twin.stateful("dut05") / "dev_image" / "old-tool").touch()
    faults = [fault(lab, "dut08", "falls_back"), fault(lab, "dut14", "does_not_come_back")]
    done = apply(lab, *chosen)
    assert done.returncode == 4, told(done)
    report = hosts(done)
    assert {name: report[name]["outcome"] for name in wanted} == {
        "dut05": "changed", "dut06": "changed", "dut07": "failed", "dut08": "failed",
        "dut11": "changed", "dut14": "failed",
    }, told(done)  # fmt: skip
    assert "error 47: the installed partition does not hold" in report["dut07"]["message"]
    assert f"it came back with {A} and not with {B.label}" in report["dut08"]["message"]
    assert "dut14 did not come back within 3 s of its reboot" in report["dut14"]["message"]
    there = [name for name in wanted if name != "dut14"]
    assert {name: release(lab, name) for name in there} == {
        "dut05": B.label, "dut06": B.label, "dut07": A, "dut08": A, "dut11": A,
    }  # fmt: skip
    assert lab.must("dut05", "ls /usr/local; cat /usr/local/build") == f"build\n{B.label}\n"
    plan = lab.crosprov("plan", "--detailed-exitcode", "--format", "json", "--limit", "dut05,dut11")
    assert plan.returncode == 0, told(plan)
    (notice,) = hosts(plan)["dut11"]["notices"]
    assert notice.endswith("is installed and starts with the next reboot (reboot: never)")

    for path in faults:
        path.unlink()
    lab.twin.restart("dut14")
    lab.write(inventory(wanted=dict.fromkeys(wanted, wish)))
    again = apply(lab, *chosen)
    assert again.returncode == 0, told(again)
    assert {release(lab, name) for name in wanted} == {B.label}


def test_a_dut_rebooted_in_the_middle_of_its_update_is_updated_by_the_next_run(lab: Lab) -> None:
    lab.write(inventory(wanted=dict.fromkeys(("dut09", "dut10"), {"version": "R121-15663.0.0"})))
    slow = fault(lab, "dut09", "slow", "100k")
    running = lab.start("apply", "--yes", "--format", "json", "--limit", "dev1,dut09,dut10")
    running.wait_for("downloads")
    lab.twin.restart("dut09")
    done = running.end()
    assert done.returncode == 4, told(done)
    assert hosts(done)["dut09"]["outcome"] == "failed"
    assert hosts(done)["dut10"]["outcome"] == "changed"
    assert release(lab, "dut09") == A
    slow.unlink()
    again = apply(lab, "--limit", "dev1,dut09,dut10")
    assert again.returncode == 0, told(again)
    assert release(lab, "dut09") == B.label


def test_files_come_from_the_dev_server(lab: Lab) -> None:
    static = "/srv/devserver/static/tools"
    lab.must("dev1", f"mkdir -p {static} && echo 'echo first' > {static}/probe.sh")
    path = "/usr/local/bin/probe.sh"
    file = {"source": "tools/probe.sh", "mode": "0755"}
    lab.write(inventory(wanted={"dut12": {"files": {path: file}}}))
    assert apply(lab, "--limit", "dut12").returncode == 0
    assert lab.must("dut12", path) == "first\n"
    second = lab.crosprov("plan", "--detailed-exitcode", "--limit", "dut12")
    assert second.returncode == 0, told(second)
    lab.must("dev1", f"echo 'echo the second' > {static}/probe.sh")
    assert apply(lab, "--limit", "dut12").returncode == 0
    assert lab.must("dut12", path) == "the second\n"
    lab.write(inventory(wanted={"dut12": {"files": {path: {**file, "sha256": "0" * 64}}}}))
    wrong = apply(lab, "--limit", "dut12")
    assert wrong.returncode == 4, told(wrong)
    assert f"and the inventory wants {'0' * 64}" in hosts(wrong)["dut12"]["message"]
    assert lab.must("dut12", path) == "the second\n"


def test_without_a_dev_server_a_dut_loses_what_crosprov_wrote_and_no_more(lab: Lab) -> None:
    lab.must("dut13", f"sed -i '1i# by hand' {LSB} && echo MINE=1 >> {LSB}")
    lab.write(inventory(wanted={"dut13": {"dev_server": None}}))
    done = apply(lab, "--limit", "dut13")
    assert done.returncode == 0, told(done)
    assert addresses(lab, "dut13") == ["# by hand", "MINE=1"]

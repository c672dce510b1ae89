"""A dev server of the virtual lab: installed without internet, with its builds staged."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from crosprov.twin.payload import Build, write_build
from tests.lab.labs import Lab, booted, told, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SERVER, STORE, DUT = "dev1", "store1", "dut01"
BUCKET = "builds"
ONE, TWO = Build("eve", "15662.0.0", 120), Build("eve", "15663.0.0", 121)
STATIC = "/srv/devserver/static"
HEALTH = "http://127.0.0.1:8080"
BUCKETS = Path(__file__).parents[1] / "support" / "bucket"

LAB = f"""
lab: NAME
hosts:
  {STORE}:
    ssh: {{host: 10.0.0.5}}
    common: {{packages: [python3]}}
  {SERVER}:
    ssh: {{host: 10.0.0.6}}
    dev_server:
      storage_endpoint: http://10.0.0.5:9000
      stage:
        - {{archive_url: "gs://{BUCKET}/{ONE.label}", artifacts: [full_payload, stateful]}}
        - {{archive_url: "gs://{BUCKET}/{TWO.label}", artifacts: [full_payload]}}
        - {{archive_url: "gs://{BUCKET}/{TWO.label}", files: [stateful.tgz]}}
      files: {{packages: packages, tools/hello: hello}}
  {DUT}:
    ssh: {{host: 10.0.1.1}}
    dut: {{board: eve, dev_server: {SERVER}}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A store with two builds, a dev server that shall stage them, and a DUT: applied once."""
    folder = tmp_path_factory.mktemp("devserver")
    (folder / "packages" / "deep er").mkdir(parents=True)
    (folder / "packages" / "deep er" / "it's.txt").write_text("one\n")
    (folder / "packages" / "latest").symlink_to("deep er/it's.txt")
    (folder / "packages" / "large.bin").write_bytes(bytes(range(256)) * 4096)
    (folder / "hello").write_text("#!/bin/sh\n")
    (folder / "hello").chmod(0o755)
    with booted(folder, LAB) as one:
        done = one.crosprov("apply", "--yes", "--limit", STORE)
        assert done.returncode == 0, told(done)
        _fill(one)
        one.must(SERVER, "ip route del default 2>/dev/null || :")  # no internet
        first = one.crosprov("apply", "--yes")
        assert first.returncode == 0, told(first)
        yield one


def _fill(lab: Lab) -> None:
    """Put the builds and the bucket server on the store, and start it."""
    with TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(BUCKETS, "bucket", filter=lambda m: None if "__pyc" in m.name else m)
            for build in (ONE, TWO):
                folder = lab.folder / "seed" / BUCKET / build.label
                folder.mkdir(parents=True)
                write_build(folder, build)
            archive.add(lab.folder / "seed", "seed")
        packed.seek(0)
        unpack = [*lab.twin.ssh_command(STORE, user="root"), "tar -x -C /srv"]
        subprocess.run(unpack, stdin=packed, check=True, timeout=60)
    _start_store(lab)


def _start_store(lab: Lab) -> None:
    lab.must(
        STORE,
        "systemd-run --collect --unit bucket --working-directory /srv "
        "python3 -m bucket --host 0.0.0.0 --port 9000 --seed /srv/seed",
    )
    until(lambda: lab.ssh(STORE, "curl -s http://127.0.0.1:9000/ -o /dev/null").returncode == 0)


def changes(lab: Lab) -> list[str]:
    """Name what a plan would change on the dev server, with what it says of it."""
    done = lab.crosprov("plan", "--format", "json", "--limit", SERVER)
    assert done.returncode in (0, 2), told(done)
    plan: dict[str, Any] = json.loads(done.stdout)
    assert plan["failures"] == [], told(done)
    return [
        " ".join((change["action"], change["resource"]["kind"], change["resource"]["name"],
                  *change["after"]))
        for change in plan["hosts"][0]["changes"]
    ]  # fmt: skip


def test_two_builds_are_staged_and_a_second_apply_stages_nothing(lab: Lab) -> None:
    lab.must(STORE, "systemctl stop bucket")  # what asked it would fail
    try:
        done = lab.crosprov("apply", "--yes", "--format", "json")
        assert done.returncode == 0, told(done)
        assert changes(lab) == []
        for build in (ONE, TWO):
            listed = lab.must(SERVER, f"ls {STATIC}/{build.label}").split()
            assert "stateful.tgz" in listed
            assert any(name.endswith("_full_dev.bin") for name in listed)
            lab.must(
                DUT, f"curl -sf http://10.0.0.6:8080/static/{build.label}/stateful.tgz -o /dev/null"
            )
    finally:
        _start_store(lab)
    status = lab.crosprov("status", "--format", "json")
    assert ONE.label in status.stdout, told(status)


def test_the_service_is_confined(lab: Lab) -> None:
    exposed = lab.must(SERVER, "systemd-analyze security devserver.service --no-pager")
    level = float(exposed.rpartition("devserver.service: ")[2].split()[0])
    assert level < 2.5, exposed
    assert "devserver" in lab.must(SERVER, "ps -o user= -C python")


def test_credentials_work_in_the_confinement(lab: Lab) -> None:
    sign = (
        "from cryptography.hazmat.primitives.asymmetric import rsa; import google.cloud.storage;"
        "import google.oauth2.service_account; rsa.generate_private_key(65537, 2048)"
    )
    confined = "MemoryDenyWriteExecute=yes SystemCallFilter=@system-service DynamicUser=yes"
    words = " ".join(f"-p {word}" for word in confined.split())
    python = lab.must(SERVER, "ls -d /usr/lib/crosprov/devserver/*/bin/python").strip()
    lab.must(SERVER, f"systemd-run --quiet --wait --pipe {words} {python} -IBc '{sign}'")


def test_a_removed_artifact_is_named_and_staged_again(lab: Lab) -> None:
    lab.must(SERVER, f"rm {STATIC}/{ONE.label}/stateful.tgz")
    assert changes(lab) == [f"update build {ONE.label} stateful"]
    done = lab.crosprov("apply", "--yes", "--limit", SERVER)
    assert done.returncode == 0, told(done)
    assert changes(lab) == []
    lab.must(SERVER, f"test -s {STATIC}/{ONE.label}/stateful.tgz")


def test_only_what_differs_of_a_tree_is_copied(lab: Lab) -> None:
    packages = f"{STATIC}/packages"
    served = "http://10.0.0.6:8080/static"
    assert lab.must(DUT, f"curl -sf {served}/packages/deep%20er/it%27s.txt") == "one\n"
    assert lab.must(DUT, f"curl -sf {served}/tools/hello") == "#!/bin/sh\n"
    lab.must(SERVER, f"echo two > '{packages}/latest' && rm {packages}/large.bin")
    assert changes(lab) == [
        f"update file {packages}/deep er/it's.txt content",
        f"create file {packages}/large.bin content mode owner",
    ]
    lab.must(SERVER, f"touch {packages}/extra")
    done = lab.crosprov("apply", "--yes", "--limit", SERVER)
    assert done.returncode == 0, told(done)
    plan = lab.crosprov("plan", "--limit", SERVER)
    assert "extra" in plan.stdout, told(plan)
    assert changes(lab) == []
    lab.must(SERVER, f"rm {packages}/extra")


def test_a_failure_shows_the_servers_own_last_line(lab: Lab) -> None:
    try:
        absent = f"local_path: {STATIC}/incoming/eve-release/R9-1.0.0"
        lab.write(LAB.replace(f'archive_url: "gs://{BUCKET}/{TWO.label}"', absent))
        done = lab.crosprov("apply", "--yes", "--limit", SERVER)
        assert done.returncode == 4, told(done)
        assert f"{absent[12:]} cannot be listed" in done.stdout, told(done)
    finally:
        lab.write(LAB)
    assert changes(lab) == []


def test_the_service_survives_a_kill_and_a_reboot(lab: Lab) -> None:
    was = lab.must(SERVER, "systemctl show -P MainPID devserver").strip()
    lab.must(SERVER, f"kill -9 {was}")
    until(lambda: lab.must(SERVER, "systemctl show -P MainPID devserver").strip() not in (was, "0"))
    until(lambda: lab.ssh(SERVER, f"curl -sf {HEALTH}/check_health").returncode == 0)
    assert changes(lab) == []
    lab.twin.restart(SERVER)
    until(lambda: lab.ssh(SERVER, f"curl -sf {HEALTH}/check_health").returncode == 0)
    assert changes(lab) == []


def test_a_damaged_environment_is_made_anew(lab: Lab) -> None:
    lab.must(SERVER, "rm -r /usr/lib/crosprov/devserver/*/lib/python3*/site-packages/uvicorn")
    named = changes(lab)
    assert any(change.startswith("update environment") for change in named), named
    done = lab.crosprov("apply", "--yes", "--limit", SERVER)
    assert done.returncode == 0, told(done)
    assert changes(lab) == []
    lab.must(SERVER, f"curl -sf {HEALTH}/check_health")

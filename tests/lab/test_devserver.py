"""A dev server of the virtual lab: installed without internet, with its builds staged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosprov.twin.payload import APPID, Build, write_build
from tests.devserver.depot import key_file
from tests.lab.labs import Lab, booted, told
from tests.support.bucket import BucketServer, bucket_server
from tests.support.bucket.server import seed
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SERVER, DUT = "dev1", "dut01"
BUCKET, ACCOUNT = "builds", "lab@example.com"
ONE, TWO = Build("eve", "15662.0.0", 120), Build("eve", "15663.0.0", 121)
STATIC = "/srv/devserver/static"
HEALTH = "http://127.0.0.1:8080"

LAB = f"""
lab: NAME
hosts:
  {SERVER}:
    ssh: {{host: 10.0.0.6}}
    dev_server:
      archive: gs://{BUCKET}
      storage_endpoint: ENDPOINT
      credentials: {{file: key.json}}
      stage:
        - {{archive_url: "gs://{BUCKET}/{ONE.label}", artifacts: [full_payload, stateful]}}
        - {{archive_url: "gs://{BUCKET}/{TWO.label}", files: [stateful.tgz]}}
      xbuddy: [ours]
      xbuddy_config:
        PATH_REWRITES: {{ours: remote/eve/R121-15663.0.0/full_payload}}
      files: {{packages: packages, tools/hello: hello}}
  {DUT}:
    ssh: {{host: 10.0.1.1}}
    dut: {{board: eve, dev_server: {SERVER}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the inventory, with what shall be served."""
    folder = tmp_path_factory.mktemp("devserver")
    (folder / "packages" / "deep er").mkdir(parents=True)
    (folder / "packages" / "deep er" / "it's.txt").write_text("one\n")
    (folder / "packages" / "latest").symlink_to("deep er/it's.txt")
    (folder / "packages" / "large.bin").write_bytes(bytes(range(256)) * 4096)
    (folder / "hello").write_text("#!/bin/sh\n")
    (folder / "hello").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def booted_lab(folder: Path) -> Iterator[Lab]:
    with booted(folder, LAB.replace("ENDPOINT", "http://192.0.2.1")) as one:
        yield one


@pytest.fixture(scope="module")
def bucket(booted_lab: Lab, folder: Path) -> Iterator[BucketServer]:
    """A private bucket with two builds on this machine, which the lab's hosts reach."""
    for build in (ONE, TWO):
        (folder / "seed" / BUCKET / build.label).mkdir(parents=True)
        write_build(folder / "seed" / BUCKET / build.label, build)
    here = booted_lab.must(SERVER, "ip route show default").split()[2]
    with bucket_server(folder / "bucket", host=here) as server:
        seed(server, folder / "seed", private=[BUCKET])
        server.token(ACCOUNT, roles={BUCKET: "roles/storage.objectViewer"})
        yield server


@pytest.fixture(scope="module")
def lab(booted_lab: Lab, bucket: BucketServer, folder: Path) -> Lab:
    """A dev server that shall stage the builds, and a DUT: applied once, without internet."""
    key_file(folder, bucket.endpoint, ACCOUNT).chmod(0o600)
    write(booted_lab, bucket)
    booted_lab.must(SERVER, "ip route del default")
    first = booted_lab.crosprov("apply", "--yes")
    assert first.returncode == 0, told(first)
    return booted_lab


def write(lab: Lab, bucket: BucketServer, text: str = LAB) -> None:
    lab.write(text.replace("ENDPOINT", bucket.endpoint))


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


def test_two_builds_are_staged_and_a_second_apply_stages_nothing(
    lab: Lab, bucket: BucketServer
) -> None:
    asked = len(bucket.requests)
    done = lab.crosprov("apply", "--yes", "--format", "json")
    assert done.returncode == 0, told(done)
    assert changes(lab) == [] and len(bucket.requests) == asked
    for build in (ONE, TWO):
        listed = lab.must(SERVER, f"ls {STATIC}/{build.label}").split()
        assert "stateful.tgz" in listed
        (payload,) = [name for name in listed if name.endswith("_full_dev.bin")]
        assert len(bucket.downloads(BUCKET, f"{build.label}/{payload}")) == 1
        lab.must(
            DUT, f"curl -sf http://10.0.0.6:8080/static/{build.label}/stateful.tgz -o /dev/null"
        )
    status = lab.crosprov("status", "--format", "json", "--limit", SERVER)
    assert ONE.label in status.stdout, told(status)


def test_the_service_is_confined(lab: Lab) -> None:
    exposed = lab.must(SERVER, "systemd-analyze security devserver.service --no-pager")
    level = float(exposed.rpartition("devserver.service: ")[2].split()[0])
    assert level < 2.5, exposed
    assert "devserver" in lab.must(SERVER, "ps -o user= -C python")


def test_the_builds_came_by_the_credentials_alone(lab: Lab, bucket: BucketServer) -> None:
    url = f"{bucket.endpoint}/{BUCKET}/{ONE.label}/stateful.tgz"
    assert lab.must(SERVER, f"curl -s -o /dev/null -w '%{{http_code}}' {url}") == "403"
    key = "/etc/crosprov/devserver.boto"
    assert lab.must(SERVER, f"stat -c '%a %U' {key}") == "600 devserver\n"
    said = lab.must(SERVER, "journalctl -u devserver -o cat; systemctl cat devserver")
    assert "PRIVATE KEY" not in said
    assert {one.identity.email for one in bucket.requests if one.is_download} == {ACCOUNT, ""}


@pytest.mark.parametrize("build", [ONE, TWO], ids=lambda build: build.label)
def test_an_update_check_gets_the_payload_of_its_label(lab: Lab, build: Build) -> None:
    request = (
        f'<request protocol="3.0"><app appid="{APPID}" version="1.0.0" board="eve">'
        "<updatecheck/></app></request>"
    )
    server = "http://10.0.0.6:8080"
    answer = lab.must(DUT, f"curl -sf -d '{request}' {server}/update/{build.label}")
    base = re.search(r'codebase="([^"]*)"', answer)
    package = re.search(r'<package [^>]*name="([^"]*)"', answer)
    assert base and package, answer
    assert base[1] == f"{server}/static/{build.label}/"
    assert build.version in package[1]
    lab.must(DUT, f"curl -sf -o /dev/null {base[1]}{package[1]}")


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


def test_a_failure_shows_the_servers_own_last_line(lab: Lab, bucket: BucketServer) -> None:
    try:
        absent = f"local_path: {STATIC}/incoming/eve-release/R9-1.0.0"
        write(lab, bucket, LAB.replace(f'archive_url: "gs://{BUCKET}/{TWO.label}"', absent))
        done = lab.crosprov("apply", "--yes", "--limit", SERVER)
        assert done.returncode == 4, told(done)
        assert f"{absent[12:]} cannot be listed" in done.stdout, told(done)
    finally:
        write(lab, bucket)
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
    library = "/usr/lib/crosprov/devserver/*/lib/python3*/site-packages/uvicorn"
    lab.must(SERVER, f"sed -i s/Server/Sarver/ {library}/server.py")  # of the same size
    named = changes(lab)
    assert any(change.startswith("update environment") for change in named), named
    lab.must(SERVER, f"rm -r {library}")
    done = lab.crosprov("apply", "--yes", "--limit", SERVER)
    assert done.returncode == 0, told(done)
    assert changes(lab) == []
    lab.must(SERVER, f"curl -sf {HEALTH}/check_health")

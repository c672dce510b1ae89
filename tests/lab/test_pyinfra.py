"""Our deploys are pyinfra's: run by its own command they leave crosprov nothing to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import NOISE, REPOSITORY, Lab, booted, differences, run, told

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
PYINFRA = Path(sys.executable).with_name("pyinfra")
TEXT = """\
lab: NAME
groups:
  servers:
    hosts: [mirror1, dev1]
    common:
      files:
        /etc/motd: {content: "set up by pyinfra\\n"}
        /etc/crosprov-test/deep/er.conf:
          {content: "a = 1\\n", mode: "0600", restarts: [cron.service]}
      directories: {/srv/data: {mode: "0750", owner: daemon}}
      links: {/srv/link: data}
      settings: {/etc/environment: {LAB: tests}}
      blocks: {/etc/hosts.allow: "sshd: ALL"}
      users: {ops: {groups: [adm], authorized_keys: [KEY]}}
      packages: [cron]
      units: {cron.service: {}}
mirrors:
  gentoo: {kind: automatic, visibility: public, store: /srv/mirror/gentoo/distfiles}
hosts:
  mirror1:
    ssh: {host: 10.0.3.1}
    mirror: {serves: [gentoo]}
  dev1:
    ssh: {host: 10.0.3.2}
    dev_server: {mirrors: mirror1}
"""
KEY = '"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO3M4u6Ae1Qk5xBtmR0bqm3b8Yv0W2a1l3o5T9d7c6Xy ops"'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with booted(tmp_path_factory.mktemp("pyinfra"), TEXT.replace("KEY", KEY)) as lab:
        yield lab


def real(lab: Lab) -> Path:
    """Write the inventory that reaches the twins as real hosts: by address, key, known_hosts."""
    text = lab.inventory.read_text()
    for name, address in (("mirror1", "10.0.3.1"), ("dev1", "10.0.3.2")):
        target = lab.twin.target(name)
        text = text.replace(
            f"ssh: {{host: {address}}}",
            f"ssh: {{host: {target.host}, identity_file: {target.identity_file}, "
            f"known_hosts: {target.known_hosts}}}",
        )
    path = lab.folder / "real.yml"
    path.write_text(text)
    return path


def test_a_deploy_run_by_pyinfra_leaves_nothing_to_do(lab: Lab) -> None:
    inventory = real(lab)
    command = [
        str(PYINFRA), "-y", str(HERE / "pyinfra_inventory.py"), str(HERE / "pyinfra_deploy.py"),
    ]  # fmt: skip
    env = {"CROSPROV_INVENTORY": str(inventory), "PYTHONPATH": str(REPOSITORY)}
    first = run(command, env=env)
    assert first.returncode == 0, told(first)
    plan = lab.program("plan", "--detailed-exitcode", "--format", "json", str(inventory))
    assert plan.returncode == 0, told(plan)
    assert all(host["changes"] == [] for host in json.loads(plan.stdout)["hosts"])
    status = lab.program("status", str(inventory))
    assert status.returncode == 0, told(status)
    before = lab.uppers(ignore=NOISE)
    second = run(command, env=env)
    assert second.returncode == 0, told(second)
    after = lab.uppers(ignore=NOISE)
    assert {host: differences(before[host], after[host]) for host in lab.hosts} == {
        "mirror1": [], "dev1": [],
    }  # fmt: skip


def test_crosprov_mends_and_pyinfra_finds_nothing_to_do(lab: Lab) -> None:
    inventory = real(lab)
    assert lab.program("apply", "--yes", str(inventory)).returncode == 0
    lab.must("dev1", "echo drift >> /etc/motd; systemctl stop devserver")
    apply = lab.program("apply", "--yes", str(inventory))
    assert apply.returncode == 0, told(apply)
    before = lab.uppers(ignore=NOISE)
    done = run(
        [str(PYINFRA), "-y", str(HERE / "pyinfra_inventory.py"), str(HERE / "pyinfra_deploy.py")],
        env={"CROSPROV_INVENTORY": str(inventory), "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, told(done)
    after = lab.uppers(ignore=NOISE)
    assert {host: differences(before[host], after[host]) for host in lab.hosts} == {
        "mirror1": [], "dev1": [],
    }  # fmt: skip

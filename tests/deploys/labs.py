"""The lab that the tests of the deploys plan for."""

from __future__ import annotations

import lzma
from pathlib import Path

from crosprov.deploying import host_model
from crosprov.inventory.lab import Lab
from crosprov.inventory.load import read_lab
from crosprov.planning.planner import HostModel
from tests.deploys.scripted import IMAGE, ScriptedHost, Unit, release_script

VERSION = "20230616101859-adb3ce"
RELEASE = f"factory-server-{VERSION}-docker-1.10.3"

LAB = """
lab: demo
mirrors:
  gentoo: {kind: automatic, store: /srv/mirror/gentoo/distfiles}
  localmirror: {kind: manual, store: /srv/mirror/localmirror}
hosts:
  server1:
    ssh: {host: 10.0.0.4}
    common:
      packages: [curl, rsync]
      users:
        alice: {groups: [adm], authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2 a@b]}
      directories: {/srv/lab: {mode: "0750"}, /srv/lab/below: {}}
      links: {/srv/images: /srv/lab}
      files:
        /etc/motd: {template: motd.j2, vars: {contact: me}, restarts: [ssh.service]}
        /etc/issue: {content: "hello\\n", mode: "600"}
        /etc/blob: {source: blob}
      settings: {/etc/default/locale: {LANG: C.UTF-8}}
      blocks: {/etc/hosts: "10.0.0.5 mirror1\\n"}
      units: {cron.service: {enabled: true, running: true}}
  mirror1:
    ssh: {host: 10.0.0.5}
    mirror: {serves: [gentoo, localmirror], port: 8081}
  dev1:
    ssh: {host: 10.0.0.6}
    dev_server: {port: 8082, mirrors: mirror1, credentials: {file: boto}}
  factory1:
    ssh: {host: 10.0.0.7}
    docker: {users: [alice]}
    factory_server: {script: {file: cros_docker.sh}, image_archive: TARBALL,
      projects: {eve: {}, kevin: {umpire_port: 9080}}}
  dut01:
    ssh: {host: 10.0.1.1}
    dut: {board: eve, dev_server: dev1, lsb_release: {CHROMEOS_RELEASE_TRACK: x-channel}}
"""


def read(folder: Path, *changes: tuple[str, str]) -> Lab:
    """Read the lab, with pieces of its text replaced, and the files that it names."""
    (folder / "cros_docker.sh").write_bytes(release_script(VERSION))
    (folder / f"{RELEASE}.txz").write_bytes(lzma.compress(b"an image" * 1000))
    (folder / "motd.j2").write_text("{{ host.name }} of {{ lab.name }}: ask {{ contact }}\n")
    (folder / "blob").write_bytes(b"\0\1\2")
    (folder / "boto").write_text("s3cret-of-boto\n")
    text = LAB.replace("TARBALL", f"{RELEASE}.txz")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_lab(text, folder / "lab.yml")


def model(lab: Lab, name: str) -> HostModel:
    """Make the model of a host of the lab."""
    return host_model(lab, lab.hosts[name])


def fresh() -> ScriptedHost:
    """Make a host on which nothing was done, except what any installation has."""
    return ScriptedHost(
        units={"ssh.service": Unit(True, True), "cron.service": Unit()},
        jobs={"update-engine": Unit(True, True)},
        dut={"debug_build": "1", "devsw_boot": "1", "operation": "UPDATE_STATUS_IDLE"},
        answers={"http://10.0.0.6:8082/check_health": "200"},
    )


def settled(lab: Lab, name: str) -> ScriptedHost:
    """Make a host that is as the lab wants it."""
    host = fresh()
    host.take_in(host.plan(model(lab, name)))
    return host


__all__ = ["IMAGE", "LAB", "fresh", "model", "read", "settled"]

"""A factory server in a lab of its own, without internet: what goes in, and what it is."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosprov.twin import rootfs
from crosprov.twin.factory import image
from crosprov.twin.factory.script import script
from tests.lab.labs import Lab, booted, mute, told

HOST = "factory1"
PASSWORD = "correct horse 7"
BUNDLE = "factory-server.bundle"
INVENTORY = f"""\
lab: NAME
defaults:
  ssh: {{user: root}}
hosts:
  {HOST}:
    ssh: {{host: 10.0.0.7}}
    docker:
      package_files: []
    factory_server:
      profile: small
      bundle: {BUNDLE}
      admin_password: {{env: CROSPROV_TEST_DOME}}
      projects:
        eve: {{umpire_port: 8080}}
        kevin: {{umpire_port: 8100}}
"""

# What deploys install on such a host; a twin has curl and sudo already.
PACKAGES = "docker.io tzdata xz-utils"
_INSTALL = f"apt-get -qq -y --no-install-recommends install {PACKAGES}"
_FETCH = f"""\
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && {_INSTALL} --download-only >/dev/null || exit
mkdir -p /tmp/none/partial
{_INSTALL} --print-uris -o Dir::Cache::archives=/tmp/none | cut -d ' ' -f 2
"""
_CUT = """\
ip route del default
! ip route get 192.0.2.1 2>/dev/null && ! getent hosts www.example.com
"""

# One line for each container: its name, its id, since when it runs and how.
_CONTAINERS = (
    "docker ps -aq --no-trunc | xargs -r docker container inspect -f "
    "'{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Status}}'"
)
# What changes containers and images; questions and commands within a container do not.
_ACTIONS = {
    "container": {
        "create", "start", "stop", "kill", "die", "destroy", "rename", "restart", "pause",
        "unpause",
    },
    "image": {"load", "import", "pull", "tag", "untag", "delete"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Container:
    """A container as Docker knows it: another id is another container."""

    id: str
    since: str
    status: str


@dataclass(frozen=True)
class FactoryLab:
    """A lab with one factory server, and the ways in which tests look at it."""

    lab: Lab

    @property
    def secrets(self) -> dict[str, str]:
        """The environment in which the inventory's secrets are found."""
        return {"CROSPROV_TEST_DOME": PASSWORD}

    def crosprov(self, command: str, *arguments: str) -> dict[str, Any]:
        """Run plan or apply, which has to succeed, and give its JSON."""
        done = self.lab.crosprov(command, "--format", "json", *arguments, env=self.secrets)
        assert done.returncode == 0, told(done)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def apply(self) -> list[str]:
        """Apply the inventory, and word what was done, in order."""
        report = self.crosprov("apply", "--yes")
        assert report["converged"] and report["verified"], report
        return [f"{done['action']} {done['resource']}" for done in report["hosts"][0]["done"]]

    def plan(self) -> list[str]:
        """Word what a plan would do, in order."""
        (host,) = self.crosprov("plan")["hosts"]
        return [
            f"{change['action']} {change['resource']['kind']} {change['resource']['name']}"
            for change in host["changes"]
        ]

    def must(self, command: str) -> str:
        """Run a command on the host."""
        return self.lab.must(HOST, command)

    def curl(self, path: str, *words: str) -> str:
        """Ask Dome on the host itself."""
        told = " ".join(words)
        return self.must(f"curl -q -sS -f --noproxy '*' -m 20 {told} http://127.0.0.1:8000{path}")

    def containers(self) -> dict[str, Container]:
        """Look at all containers of the host, by name."""
        rows = (line.split() for line in self.must(_CONTAINERS).splitlines())
        return {name.lstrip("/"): Container(*rest) for name, *rest in rows}

    def now(self) -> str:
        """Give the host's time, as Docker wants it."""
        return self.must("date +%s.%N").strip()

    def events(self, since: str) -> list[str]:
        """List what happened to containers and images since then."""
        out = self.must(
            f"docker events --since {since} --until {self.now()} --format '{{{{json .}}}}'"
        )
        found = (json.loads(line) for line in out.splitlines())
        return [
            f"{event['Type']} {event['Action']}"
            for event in found
            if event["Action"] in _ACTIONS.get(event["Type"], ())
        ]


@contextmanager
def factory_lab(folder: Path) -> Iterator[FactoryLab]:
    """Boot a bare host that cannot reach the internet; all that it needs is on the controller."""
    base = rootfs.ensure(rootfs.CACHE, mute)
    with booted(folder, INVENTORY) as lab:
        bundle(lab, base, BUNDLE, image.TIMESTAMP, image.GITHASH)
        packages = _packages(lab)
        lab.write(INVENTORY.replace("package_files: []", f"package_files: [{', '.join(packages)}]"))
        lab.must(HOST, _CUT)
        yield FactoryLab(lab)


def bundle(
    lab: Lab, base: Path, name: str, timestamp: str, githash: str,
    umpire_version: int = image.UMPIRE_VERSION,
) -> None:  # fmt: skip
    """Make the bundle of a release, beside the inventory."""
    release = lab.folder / f"release-{timestamp}"
    release.mkdir()
    tarball = image.build(
        release, base, timestamp=timestamp, githash=githash, umpire_version=umpire_version
    )
    (release / "cros_docker.sh").write_bytes(script(timestamp, githash))
    done = lab.program(
        "factory", "bundle", str(lab.inventory), "--script", str(release / "cros_docker.sh"),
        "--image", str(tarball), "--out", str(lab.folder / name),
    )  # fmt: skip
    assert done.returncode == 0, told(done)


def _packages(lab: Lab) -> list[str]:
    """Bring the package files that the host lacks to the controller, while it has a network."""
    names = lab.must(HOST, _FETCH, timeout=180).split()
    pack = f"tar -C /var/cache/apt/archives -c {' '.join(names)}"
    packed = subprocess.run(
        [*lab.twin.ssh_command(HOST, user="root"), pack], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(lab.folder / "packages", filter="data")
    return [f"packages/{name}" for name in names]

"""A factory server that is moved between three releases, and all that is to be seen of it."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crosprov.twin import rootfs
from crosprov.twin.factory import image
from tests.lab.factory import BUNDLE, HOST, Container, FactoryLab, bundle, factory_lab
from tests.lab.labs import mute, told
from tests.lab.steps import Step, Steps
from tests.support.waiting import until

# Not the script's own default: `run` forgets it for the Umpires that it makes anew.
SHARED = "/srv/factory"
IMAGE = "cros/factory_server"
ALL = frozenset({"dome_uwsgi", "dome_nginx", "umpire_eve", "umpire_kevin", "overlord"})
PORTS = {"eve": 8080, "kevin": 8100}
_KEYS = f"""\
      shared_dir: {SHARED}
      overlord: {{password: {{env: CROSPROV_TEST_DOME}}}}
      projects:
        eve:
          umpire_port: {PORTS["eve"]}
          bundle: {{file: eve.tar.gz}}
          services: {{instalog: {{active: true}}}}
        kevin: {{umpire_port: {PORTS["kevin"]}}}
"""
_ASK = rf"""
echo == data
cd {SHARED}/umpire && find */ -type f ! -path '*/log/*' ! -path '*/run/*' -print0 | sort -z |
  xargs -0 sha256sum
echo == database
sha256sum < {SHARED}/dome/db.sqlite3
echo == images
docker image ls --no-trunc --format '{{{{.Tag}}}} {{{{.ID}}}}' {IMAGE} | sort
echo == scripts
cd /opt/cros_docker && find . -name cros_docker.sh -type f -printf '%p %m ' -exec sha256sum {{}} \;
echo == left
find /opt/cros_docker {SHARED} /var/lib/crosprov -name '*.part' -o -name '.*.crosprov' \
  -o -name 'factory-server*' -o -name 'dome-phase' -o -name '*.upload' -o -path '*/incoming/*'
find /var/lib/crosprov/lock /var/lib/crosprov/restart -type f 2>/dev/null
docker volume ls -q --filter dangling=true | sed 's/^/volume /'
"""
_BUSY = " at work on "
_VERSION = "<?xml version='1.0'?><methodCall><methodName>GetVersion</methodName></methodCall>"


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the factory server, whose Umpires are of a version of their own."""

    timestamp: str
    githash: str
    umpire_version: int
    bundle: str  # the file that holds it, beside the inventory

    @property
    def version(self) -> str:
        """Its name in the inventory."""
        return f"{self.timestamp}-{self.githash[:6]}"


RELEASES = (
    Release(image.TIMESTAMP, image.GITHASH, image.UMPIRE_VERSION, BUNDLE),
    Release("20240304050607", "c0ffee" + 34 * "0", image.UMPIRE_VERSION + 1, "second.bundle"),
    Release("20250607080910", "decade" + 34 * "0", image.UMPIRE_VERSION + 2, "third.bundle"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """All that a run could change of a factory server."""

    containers: dict[str, Container]
    said: dict[str, tuple[str, ...]]  # by what was asked
    projects: str

    def differences(self, other: Server) -> set[str]:
        """Name the parts in which another one is otherwise; `since` is of containers alone."""
        found = {name for name in self.said if self.said[name] != other.said[name]}
        ids, others = (
            {name: (one.id, one.status) for name, one in server.containers.items()}
            for server in (self, other)
        )
        if ids != others:
            found.add("containers")
        elif self.containers != other.containers:
            found.add("since")
        return found | ({"projects"} if self.projects != other.projects else set())


@dataclass
class Moving:
    """A server that goes from release to release, with the data that must not change."""

    factory: FactoryLab
    steps: Steps
    current: Release = RELEASES[0]
    previous: Release | None = None
    data: tuple[str, ...] = field(default=())

    def other(self, *, back: bool) -> Release:
        """Give the release before this one, which the host keeps, or one that it does not have."""
        if back and self.previous is not None:
            return self.previous
        return next(one for one in RELEASES if one not in (self.current, self.previous))

    def declare(self, release: Release, *, back: bool = False) -> None:
        """Want a release: by its bundle, or by its version alone when the host keeps it."""
        inventory = self.factory.lab.inventory
        wanted = f"version: {release.version}" if back else f"bundle: {release.bundle}"
        text = re.sub(r"^      (bundle|version): \S+$", f"      {wanted}",
                      inventory.read_text(), count=1, flags=re.MULTILINE)  # fmt: skip
        inventory.write_text(text)

    def killed(self, step: Step) -> bool:
        """Apply, and kill that at a step; False when it ended before it came to it."""
        self.steps.release()
        self.steps.catch(step)
        run = self.factory.lab.start("apply", "--yes", env=self.factory.secrets)
        return self.steps.kill(step, run)

    def finish(self, release: Release) -> None:
        """Bring the host to a release, as soon as nobody else is at work on it."""

        def converged() -> bool:
            done = self.factory.lab.crosprov("apply", "--yes", env=self.factory.secrets)
            assert done.returncode == 0 or _BUSY in done.stdout, told(done)
            return done.returncode == 0

        self.steps.release()
        until(converged, within=180)
        self.current, self.previous = release, self.current

    def look(self) -> Server:
        """See all that a run could change."""
        said: dict[str, list[str]] = {}
        for line in self.factory.must(_ASK).splitlines():
            if line.startswith("== "):
                lines = said.setdefault(line.removeprefix("== "), [])
            else:
                lines.append(line)
        projects = self.factory.curl("/projects/")
        found = {asked: tuple(lines) for asked, lines in said.items()}
        return Server(self.factory.containers(), found, projects)

    def check(self) -> None:
        """Check that all is of the current release, the data as it was, and nothing left."""
        seen, release = self.look(), self.current
        status = {name: one.status for name, one in seen.containers.items()}
        assert status == dict.fromkeys(ALL, "running"), status
        assert seen.said["data"] == self.data
        assert not seen.said["left"], seen.said["left"]
        images = dict(line.split() for line in seen.said["images"])
        assert images.keys() - {self.previous and self.previous.version} == {
            "latest", release.version,
        }  # fmt: skip
        assert images["latest"] == images[release.version]
        made = self.factory.must("docker ps -q | xargs docker inspect -f '{{.Image}}'").split()
        assert made == [images["latest"]] * len(ALL)
        projects = {one["name"]: one for one in json.loads(seen.projects)}
        enabled = {name: one["umpirePort"] for name, one in projects.items()
                   if one["umpireEnabled"]}  # fmt: skip
        assert enabled == PORTS
        for port in PORTS.values():
            answer = self.factory.must(
                f"curl -q -sS -m 9 -H 'Content-Type: text/xml' -d \"{_VERSION}\" "
                f"http://127.0.0.1:{port + 2}/"
            )
            assert f"<int>{release.umpire_version}</int>" in answer
        login = f"-F username=admin -F 'password={self.factory.secrets['CROSPROV_TEST_DOME']}'"
        assert "token" in json.loads(self.factory.curl("/auth", login))


@contextmanager
def moving_lab(folder: Path) -> Iterator[Moving]:
    """Boot a factory server with two projects that hold data, and have three releases at hand."""
    with factory_lab(folder) as factory:
        lab = factory.lab
        for one in RELEASES[1:]:
            bundle(lab, rootfs.ensure(rootfs.CACHE, mute), one.bundle, one.timestamp, one.githash,
                   one.umpire_version)  # fmt: skip
        _resources(folder)
        head, _, _ = lab.inventory.read_text().partition("      projects:\n")
        lab.write(head + _KEYS)
        moving = Moving(factory, Steps(lab, HOST))
        moving.declare(RELEASES[0])
        factory.apply()
        factory.must(f"echo data > {SHARED}/umpire/kevin/umpire_data/report")
        moving.data = moving.look().said["data"]
        yield moving


def _resources(folder: Path) -> None:
    """Write a bundle of resources."""
    toolkit = folder / "install_factory_toolkit.run"
    toolkit.write_text('VERSION="1.0"\n')
    with tarfile.open(folder / "eve.tar.gz", "w:gz") as archive:
        archive.add(toolkit, f"toolkit/{toolkit.name}")

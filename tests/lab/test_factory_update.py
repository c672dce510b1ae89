"""An update of a factory server that is killed at any of its steps: the next apply finishes it.

The loop goes over all steps of the update and of the way back, in turns, so each apply that
finishes one is the beginning of the next.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosprov.twin import rootfs, why_not
from crosprov.twin.factory import image
from tests.lab.factory import BUNDLE, FactoryLab, bundle, factory_lab
from tests.lab.labs import mute, told, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

NEWER = ("20240304050607", "fedcba98" * 5)
NEW_BUNDLE = "newer.bundle"
SUMS = (
    "cd /cros_docker/umpire && find */resources */umpire_data -type f -print0 | sort -z"
    " | xargs -0 sha256sum"
)
_BUSY = "another run is at work on it"


@dataclass(frozen=True)
class Moving:
    """A lab that is moved between two versions."""

    factory: FactoryLab
    data: str

    def declare(self, new: bool) -> str:
        """Say in the inventory which version is wanted, and return it."""
        inventory = self.factory.lab.inventory
        text = re.sub(r"bundle: \S+", f"bundle: {NEW_BUNDLE if new else BUNDLE}",
                      inventory.read_text())  # fmt: skip
        inventory.write_text(text)
        stamp, githash = NEWER if new else (image.TIMESTAMP, image.GITHASH)
        return f"{stamp}-{githash[:6]}"

    def killed(self, step: int) -> None:
        """Apply, and kill crosprov as soon as it begins the step, counted from one."""
        run = self.factory.lab.start("apply", "--yes", env=self.factory.secrets)
        run.wait_for(f": {step}/")
        run.signal(signal.SIGKILL)
        assert run.end(within=60).returncode in (-signal.SIGKILL, 0)  # it may just have ended

    def finish(self) -> None:
        """Apply until nobody is at work on the host any more, which must converge then."""

        def converged() -> bool:
            done = self.factory.lab.crosprov("apply", "--yes", env=self.factory.secrets)
            assert done.returncode == 0 or _BUSY in done.stdout, told(done)
            return done.returncode == 0

        until(converged, within=180, every=0.5)

    def check(self, version: str) -> None:
        """Check that all is of a version, and the data as it was."""
        factory = self.factory
        assert factory.plan() == []
        projects = {one["name"]: one for one in json.loads(factory.curl("/projects/"))}
        assert {name for name, one in projects.items() if one["umpireEnabled"]} == {"eve", "kevin"}
        (host,) = factory.crosprov("status")["hosts"]
        assert host["about"]["Dome"].startswith(version), host["about"]
        current = factory.must("docker image inspect -f '{{.Id}}' cros/factory_server").strip()
        images = factory.must("docker ps -q | xargs docker inspect -f '{{.Image}}'").split()
        assert images == [current] * 4
        assert factory.must(SUMS) == self.data


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """A server of the older version with data, and the bundle of the newer one at hand."""
    if reason := why_not():
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("update")
    with factory_lab(folder) as factory:
        bundle(factory.lab, rootfs.ensure(rootfs.CACHE, mute), NEW_BUNDLE, *NEWER)
        factory.apply()
        factory.must("for p in eve kevin; do echo $p > /cros_docker/umpire/$p/umpire_data/x; done")
        yield Moving(factory, factory.must(SUMS))


def test_killed_at_each_step_the_next_apply_finishes(moving: Moving) -> None:
    new, step, steps = True, 1, 1
    while step <= steps:
        version = moving.declare(new)
        steps = max(steps, len(moving.factory.plan()))
        if step <= len(moving.factory.plan()):
            moving.killed(step)
        moving.finish()
        moving.check(version)
        step, new = (step, False) if new else (step + 1, True)
    assert steps >= 5, "an update has image, script, Dome and two projects at least"

"""The demo lab, booted once for all modules that are about it, and how it was first set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from crosprov.twin import rootfs, why_not
from crosprov.twin.factory import image
from crosprov.twin.factory.script import script
from tests.lab.labs import Disk, Lab, booted, demo, mute, told

# What a running system writes by itself. A host that is only asked writes no more than this.
BY_ITSELF = ("var/log/*", "var/lib/systemd/*")


@dataclass(frozen=True)
class Story:
    """The demo lab's first plan and first apply, with the disks before, between and after."""

    lab: Lab
    fresh: dict[str, Disk]
    plan: dict[str, Any]
    status: dict[str, Any]
    asked: dict[str, Disk]
    report: dict[str, Any]
    done: dict[str, Disk]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Boot the demo lab and set it up; tests that change a host mend it before they end."""
    folder = tmp_path_factory.mktemp("demo")
    if reason := why_not():
        pytest.skip(reason)
    release = folder / "factory-server-demo"
    release.mkdir()
    image.build(release, rootfs.ensure(rootfs.CACHE, mute))
    (release / "cros_docker.sh").write_bytes(script(image.TIMESTAMP, image.GITHASH))
    with booted(folder, demo()) as lab:
        fresh = lab.uppers(ignore=BY_ITSELF)
        plan = lab.crosprov("plan", "--format", "json")
        assert plan.returncode == 0, told(plan)
        status = lab.crosprov("status", "--format", "json")
        assert status.returncode == 2, told(status)
        dry = lab.crosprov("apply", "--dry-run")
        assert dry.returncode == 0, told(dry)
        asked = lab.uppers(ignore=BY_ITSELF)
        report = lab.crosprov("apply", "--yes", "--format", "json")
        assert report.returncode == 0, told(report)
        yield Story(
            lab, fresh, json.loads(plan.stdout), json.loads(status.stdout), asked,
            json.loads(report.stdout), lab.uppers(ignore=BY_ITSELF),
        )  # fmt: skip

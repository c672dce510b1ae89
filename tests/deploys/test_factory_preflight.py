"""What a plan of a factory server counts as coming to its host."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from crosprov.deploys import factory_preflight
from pyinfra.api import deploy

from crosprov.errors import PlanError
from crosprov.planning.engine import RoleDeploy
from crosprov.planning.planner import HostModel
from crosprov.roles import factory_server
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost

PROJECTS = "projects: {eve: {}, kevin: {umpire_port: 9080}}"
CONTENT = b"PK\x05\x06" + bytes(18)  # a zip archive without members
RECORD = f"/state/bundles/eve-{hashlib.sha256(CONTENT).hexdigest()}"
ALL = {"/cros_docker", "/state", "/var/lib/docker"}
FULL = "1 5000 10"  # the only file system: its size, and 1 GB that is free, which is to be spare


def model(folder: Path, project: str) -> HostModel:
    """Make the model of a factory server of which only the preflight is made."""
    (folder / "eve.zip").write_bytes(CONTENT)
    lab = labs.read(folder, (PROJECTS, f"projects: {{eve: {project}}}"))
    host = lab.hosts["factory1"]

    def part() -> None:
        factory_preflight.check(lab, host, host.settings(factory_server.Settings))

    call = deploy("part")(part)
    return HostModel("factory1", [RoleDeploy("factory_server", call)], host.ssh_target(), "/state")


def full(place: str) -> ScriptedHost:
    """Make a host that has the image, and a disk that has no room there."""
    host = ScriptedHost(packages={"docker.io"}, image="sha256:one", release=labs.VERSION)
    host.factory_host = {"system": "Linux", "machine": "x86_64", "place": f"{FULL} {place}"}
    return host


@pytest.mark.parametrize("place", sorted(ALL))
def test_a_bundle_needs_room_wherever_it_passes(tmp_path: Path, place: str) -> None:
    with pytest.raises(PlanError, match=f"1 GB are free for {place}, and 1 GB are needed"):
        full(place).plan(model(tmp_path, "{bundle: {file: eve.zip}}"))


@pytest.mark.parametrize(
    ("project", "record"),
    [
        ("{bundle: {file: eve.zip}}", b"eve.zip\npayload.json\n"),
        ("{bundle: {file: eve.zip}, enabled: false}", None),
        ("{}", None),
    ],
)
def test_what_does_not_come_needs_no_room(
    tmp_path: Path, project: str, record: bytes | None
) -> None:
    host = full("/cros_docker")
    if record is not None:
        host.paths[RECORD] = scripted.Path("regular file", content=record)
    assert host.plan(model(tmp_path, project)).changes == []


def test_an_upload_that_was_cut_short_comes_again(tmp_path: Path) -> None:
    host = full("/cros_docker")
    host.paths[RECORD] = scripted.Path("regular file", content=b"eve.zip\n")
    with pytest.raises(PlanError, match="are needed for what is to be loaded"):
        host.plan(model(tmp_path, "{bundle: {file: eve.zip}}"))

"""The preflight of a factory server in a plan: refusals, notices, and what is known later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.errors import ChangeFailed, PlanError
from crosprov.factory.preflight import Claimed, Intent
from crosprov.operations import files
from crosprov.operations.effects import effects
from crosprov.operations.preflight import factory_host
from tests.support.machine import Machine, summary

ENGINE = Path(__file__).parent / "engine"
CHECK = "> check Docker of the factory server"
Load = Callable[[], dict[str, int]]


@pytest.fixture
def host(machine: Machine) -> Machine:
    """This machine, with an imitation of Docker."""
    machine.install(*ENGINE.iterdir())
    return machine


def nothing() -> dict[str, int]:
    """Bring nothing."""
    return {}


def wanting(host: Machine, load: Load = nothing, port: int = 1) -> Callable[[], object]:
    shared = str(host.root / "shared")
    ports = (Claimed(port, "Dome", "factory_server.dome_port"),)
    intent = Intent("small", shared, str(host.root / "docker"), ports)
    return lambda: factory_host(intent, places=(shared, intent.docker_root), load=load)


def test_a_sound_host_is_told_of_its_small_profile_only(host: Machine) -> None:
    plan = host.plan(wanting(host))
    assert plan.empty
    assert plan.notices[0].startswith("profile small is for trials")


def test_free_space_and_clocks_make_no_plan_stale(host: Machine) -> None:
    assert host.plan(wanting(host)).observed == ()


def test_all_reasons_are_given_at_once(host: Machine) -> None:
    (host.stubs / "oldest").write_text("1.24\n")

    def load() -> dict[str, int]:
        raise PlanError("the tarball is cut short", hint="fetch it again")

    with pytest.raises(PlanError, match=r"speaks API 1\.24 .*; the tarball is cut short") as caught:
        host.plan(wanting(host, load))
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("; fetch it again")


def test_an_image_that_has_no_room_is_refused(host: Machine) -> None:
    with pytest.raises(PlanError, match="are needed for what is to be loaded"):
        host.plan(wanting(host, lambda: {str(host.root / "docker"): 10**15}))


def test_a_port_in_use_is_refused_with_its_program(host: Machine, web: str) -> None:
    port = int(web.rpartition(":")[2].strip("/"))
    with pytest.raises(PlanError, match=rf"port {port} of Dome is taken by \w+"):
        host.plan(wanting(host, port=port))


def test_a_docker_that_is_replaced_is_looked_at_when_it_is(host: Machine) -> None:
    (host.stubs / "oldest").write_text("1.24\n")

    def wanted() -> None:
        effects().packages.add("docker.io")  # as `package_files` of an older version does
        wanting(host)()

    plan = host.plan(wanted)
    assert summary(plan) == [CHECK]
    with pytest.raises(ChangeFailed, match="speaks API 1.24"):
        host.apply(wanted)


@pytest.mark.parametrize(
    ("version", "oldest", "says"),
    [
        ("20.10.24+dfsg1", "1.12", ""),
        ("1.10.3", "", ""),
        ("24.0.9", "1.12", ""),
        ("25.0.0-rc.1", "1.24", "Docker 25.0.0 speaks API 1.24"),
        ("29.0.1", "1.44", "Docker 29.0.1 speaks API 1.44"),
        ("1.9.1", "", "Docker is 1.9.1, and the factory server needs 1.10.3"),
    ],
)
def test_a_docker_that_comes_with_the_plan_is_looked_at_when_it_is_there(
    host: Machine, version: str, oldest: str, says: str
) -> None:
    (host.stubs / "version").write_text(f"{version}\n")
    (host.stubs / "oldest").write_text(f"{oldest}\n")
    (host.stubs / "docker-down").touch()
    plan = host.plan(wanting(host))
    assert summary(plan) == [CHECK]
    assert plan.changes[0].unknown == ("the version of Docker",)

    def wanted() -> None:  # Docker comes up just before it is looked at
        files.absent(str(host.stubs / "docker-down"))
        wanting(host)()

    if says:
        with pytest.raises(ChangeFailed, match=says):
            host.apply(wanted)
    else:
        assert len(host.apply(wanted)) == 2

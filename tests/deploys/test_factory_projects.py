"""What is asked of a factory server through Dome: the plan of its deploy, from recorded answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from crosprov.deploys import factory_projects
from pyinfra.api import deploy

from crosprov.planning.engine import Drawing, RoleDeploy
from crosprov.planning.planner import HostModel
from crosprov.roles import factory_server
from tests.deploys import labs
from tests.deploys.scripted import ScriptedHost

PROJECTS = "projects: {eve: {}, kevin: {umpire_port: 9080}}"


def model(folder: Path, projects: str, more: str = "") -> HostModel:
    """Make the model of a factory server of which only this part is deployed."""
    lab = labs.read(folder, (PROJECTS, f"projects: {projects}{more}"))
    host = lab.hosts["factory1"]

    def part() -> None:
        factory_projects.apply(lab, host, host.settings(factory_server.Settings))

    call = deploy("part")(part)
    return HostModel("factory1", [RoleDeploy("factory_server", call)], host.ssh_target(), "/state")


def server(**more: object) -> ScriptedHost:
    """Make a host on which Dome runs, without projects."""
    made = ScriptedHost(packages={"docker.io"}, image="sha256:one")
    made.containers["dome_uwsgi"] = ("", "sha256:one")
    for key, value in more.items():
        setattr(made, key, value)
    return made


def words(drawing: Drawing) -> list[str]:
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


@pytest.mark.parametrize(
    ("projects", "more", "expected"),
    [
        ("{}", "", ["~ dome setting version_check"]),
        ("{}", ", version_check: true", []),
        ("{eve: {}}", ", version_check: true", ["+ project eve"]),
        (
            "{eve: {}, kevin: {umpire_port: 9080, absent: true}}", ", tftp: true",
            ["~ dome setting version_check", "~ dome setting tftp", "+ project eve"],
        ),
        (
            "{eve: {services: {instalog: {active: true, archive: {enable: true}}}}}",
            ", version_check: true, admin_password: {file: boto}",
            ["~ password admin", "+ project eve", "~ services eve"],
        ),
        ("{eve: {enabled: false}}", ", version_check: true", ["+ project eve"]),
    ],
)  # fmt: skip
def test_the_plan_and_that_the_second_is_empty(
    tmp_path: Path, projects: str, more: str, expected: list[str]
) -> None:
    host = server()
    wanted = model(tmp_path, projects, more)
    drawing = host.plan(wanted)
    assert words(drawing) == expected
    if "tftp" not in more:  # its container is none that the scripted host has
        host.take_in(drawing)
        assert words(host.plan(wanted)) == []


def test_before_dome_is_there_nothing_is_known(tmp_path: Path) -> None:
    host = server(containers={})
    drawing = host.plan(model(tmp_path, "{eve: {}}", ", admin_password: {file: boto}"))
    assert words(drawing) == [
        "~ dome setting version_check", "~ password admin", "+ project eve",
    ]  # fmt: skip
    assert all(change.unknown for change in drawing.changes)
    assert drawing.about["Dome"] == "does not answer"


def test_the_default_password_and_other_projects_are_noticed(tmp_path: Path) -> None:
    host = server(projects={"link": (True, 8180)})
    drawing = host.plan(model(tmp_path, "{}"))
    assert drawing.notices == [
        "Dome's account admin has the default password; declare admin_password",
        "Dome has projects that the inventory does not name: link; they stay as they are",
    ]


def test_no_secret_stands_in_a_plan(tmp_path: Path) -> None:
    drawing = server().plan(model(tmp_path, "{}", ", admin_password: {file: boto}"))
    assert "s3cret-of-boto" not in "".join(c.model_dump_json() for c in drawing.changes)


def test_those_that_give_ports_up_come_first(tmp_path: Path) -> None:
    host = server(projects={"kevin": (True, 8080)}, umpires={"kevin": []})
    wanted = model(tmp_path, "{eve: {}, kevin: {umpire_port: 8080, absent: true}}")
    assert words(host.plan(wanted))[1:] == ["~ project kevin", "+ project eve"]

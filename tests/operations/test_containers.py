from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.operations.containers import ContainerSpec, container
from crosprov.operations.effects import effects
from crosprov.secrets import vault
from tests.support.machine import Machine, summary

DOME = ContainerSpec(
    "cros/dome:1", ("uwsgi", "--ini", "my file.ini"), {"B": "2", "A": "one two"},
    ports=("8000:80",), volumes=("/srv/a:/a", "/b", "tmp:/c:ro"), tmpfs=("/run:size=16384k",),
    privileged=True, workdir="/opt",
)  # fmt: skip
NGINX = ContainerSpec("cros/dome:1", ("nginx",), volumes_from=("dome",))


@pytest.fixture
def docker(machine: Machine) -> Machine:
    """A host with a docker that has two images."""
    put(machine, images={"cros/dome:1": "sha256:aa", "cros/dome:2": "sha256:bb"})
    return machine


def put(machine: Machine, **changes: Any) -> None:
    (machine.stubs / "docker.json").write_text(json.dumps({**look(machine), **changes}))


def look(machine: Machine) -> dict[str, Any]:
    file = machine.stubs / "docker.json"
    found: dict[str, Any] = {"containers": {}, "images": {}, "next": 1}
    return json.loads(file.read_text()) if file.exists() else found


def status(machine: Machine) -> dict[str, str]:
    containers = look(machine)["containers"]
    return {name: f"{c['ImageName']} {c['State']['Status']}" for name, c in containers.items()}


def both() -> None:
    container("dome", DOME)
    container("web", NGINX)


def test_a_container_is_made_once(docker: Machine) -> None:
    (change,) = docker.apply(lambda: container("dome", DOME))
    assert change.action == "create"
    assert change.after["ports"] == "8000:80"
    assert change.after["command"] == "uwsgi --ini 'my file.ini'"
    assert status(docker) == {"dome": "cros/dome:1 running"}
    plan = docker.plan(lambda: container("dome", DOME))
    assert plan.empty
    assert plan.round_trips == 1


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ({"ports": ("8001:80",)}, {"ports": "8000:80"}, {"ports": "8001:80"}),
        ({"workdir": None}, {"workdir": "/opt"}, {"workdir": None}),
        ({"network": "host"}, {}, {"network": "host"}),
        ({"privileged": False}, {"privileged": "true"}, {"privileged": None}),
        ({"env": {"A": "1"}}, {"env": '{"A": "one two", "B": "2"}'}, {"env": '{"A": "1"}'}),
    ],
)
def test_a_changed_spec_makes_it_anew(
    docker: Machine, change: dict[str, Any], before: dict[str, str], after: dict[str, str]
) -> None:
    docker.apply(lambda: container("dome", DOME))
    new = replace(DOME, **change)
    (made,) = docker.apply(lambda: container("dome", new))
    assert made.action == "update"
    assert made.before == before
    assert made.after == {**after, "made anew": "its spec changed"}
    assert status(docker) == {"dome": "cros/dome:1 running"}
    assert docker.plan(lambda: container("dome", new)).empty


def test_an_image_of_the_same_name_makes_it_anew(docker: Machine) -> None:
    docker.apply(both)
    put(docker, images={"cros/dome:1": "sha256:cc"})
    changes = docker.apply(both)
    assert [change.after["made anew"] for change in changes] == [
        "its image changed", "its image changed; dome was made anew",
    ]  # fmt: skip
    assert docker.plan(both).empty


def test_what_shares_volumes_is_made_anew_too(docker: Machine) -> None:
    docker.apply(both)
    new = replace(DOME, workdir="/")

    def wanted() -> None:
        container("dome", new)
        container("web", NGINX)

    changes = docker.apply(wanted)
    assert changes[1].after["made anew"] == "dome was made anew"
    assert docker.plan(wanted).empty


def test_what_shares_volumes_is_made_anew_by_a_later_run(docker: Machine) -> None:
    docker.apply(both)
    new = replace(DOME, workdir="/")
    docker.apply(lambda: container("dome", new))
    assert summary(docker.plan(lambda: container("web", NGINX))) == ["~ container web"]


@pytest.mark.parametrize(
    ("found", "call"),
    [
        ("exited", "docker start dome"),
        ("created", "docker start dome"),
        ("paused", "docker unpause dome"),
        ("dead", "docker restart dome"),
        ("restarting", "docker restart dome"),
    ],
)
def test_what_does_not_run_is_started(docker: Machine, found: str, call: str) -> None:
    docker.apply(lambda: container("dome", DOME))
    known = look(docker)
    known["containers"]["dome"]["State"]["Status"] = found
    put(docker, **known)
    (change,) = docker.apply(lambda: container("dome", DOME))
    assert (change.before, change.after) == ({"status": found}, {"status": "running"})
    assert docker.calls[-1] == call
    assert docker.plan(lambda: container("dome", DOME)).empty


def test_a_container_of_somebody_else_is_replaced(docker: Machine) -> None:
    docker.apply(lambda: container("dome", DOME))
    known = look(docker)
    known["containers"]["dome"]["Config"]["Labels"] = {}
    put(docker, **known)
    (change,) = docker.apply(lambda: container("dome", DOME))
    assert change.after["made anew"] == "crosprov did not make it"


def test_the_old_one_comes_back_when_the_new_one_does_not_run(docker: Machine) -> None:
    docker.apply(lambda: container("dome", DOME))
    (docker.stubs / "fails").write_text("cros/dome:2")
    new = replace(DOME, image="cros/dome:2")
    with pytest.raises(ChangeFailed, match=r"(?s)last words.*runs again"):
        docker.apply(lambda: container("dome", new))
    assert status(docker) == {"dome": "cros/dome:1 running"}
    (docker.stubs / "fails").unlink()
    docker.apply(lambda: container("dome", new))
    assert status(docker) == {"dome": "cros/dome:2 running"}
    assert docker.plan(lambda: container("dome", new)).empty


def test_a_failed_first_container_stays_for_a_look(docker: Machine) -> None:
    (docker.stubs / "fails").write_text("cros/dome:1")
    with pytest.raises(ChangeFailed, match="last words"):
        docker.apply(lambda: container("dome", DOME))
    assert status(docker) == {"dome": "cros/dome:1 restarting"}
    (docker.stubs / "fails").unlink()
    docker.apply(lambda: container("dome", DOME))
    assert docker.plan(lambda: container("dome", DOME)).empty


def test_a_container_that_is_never_ready_stays_due(docker: Machine) -> None:
    (docker.stubs / "fails").write_text("cros/dome:1")
    ready = "http://127.0.0.1:9/"
    with pytest.raises(ChangeFailed):
        docker.apply(lambda: container("dome", DOME, ready=ready))
    assert docker.due() == ["dome.container"]


def test_readiness_is_asked_before_the_old_one_goes(docker: Machine, web: str) -> None:
    docker.apply(lambda: container("dome", DOME, ready=web))
    new = replace(DOME, workdir="/")
    (change,) = docker.apply(lambda: container("dome", new, ready=web))
    assert change.after["ready"] == web
    assert docker.due() == []
    assert status(docker) == {"dome": "cros/dome:1 running"}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("after", range(1, 7))
def test_a_replacement_that_is_killed_is_finished(docker: Machine, after: int, fails: bool) -> None:
    docker.apply(lambda: container("dome", DOME))
    (docker.stubs / "calls").unlink()
    new = replace(DOME, image="cros/dome:2")
    if fails:
        (docker.stubs / "fails").write_text("cros/dome:2")
    try:
        docker.apply(lambda: container("dome", new), STUB_CRASH_AFTER=str(after))
    except (HostSilent, ChangeFailed):
        assert status(docker), "one of the two is always there"
    (docker.stubs / "fails").unlink(missing_ok=True)
    docker.apply(lambda: container("dome", new))
    assert status(docker) == {"dome": "cros/dome:2 running"}
    assert docker.plan(lambda: container("dome", new)).empty


def test_another_wish_after_a_cut_short_replacement(docker: Machine) -> None:
    docker.apply(lambda: container("dome", DOME))
    (docker.stubs / "calls").unlink()
    with pytest.raises(HostSilent):
        docker.apply(lambda: container("dome", replace(DOME, workdir="/x")), STUB_CRASH_AFTER="3")
    assert len(status(docker)) == 2
    newest = replace(DOME, image="cros/dome:2")
    docker.apply(lambda: container("dome", newest))
    assert status(docker) == {"dome": "cros/dome:2 running"}


def test_a_leftover_is_tidied_up(docker: Machine) -> None:
    docker.apply(lambda: container("dome", DOME))
    known = look(docker)
    old = json.loads(json.dumps(known["containers"]["dome"]))
    old["State"]["Status"] = "exited"
    known["containers"]["dome.crosprov-old"] = old
    put(docker, **known)
    assert summary(docker.plan(lambda: container("dome", DOME))) == ["~ container dome"]
    docker.apply(lambda: container("dome", DOME))
    assert status(docker) == {"dome": "cros/dome:1 running"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": ""}, "not the name of an image"),
        ({"ports": ("80:x",)}, "not a port"),
        ({"volumes": ("relative",)}, "not a volume"),
        ({"env": {"A B": "1"}}, "not the name of a variable"),
        ({"restart": "sometimes"}, "not a restart policy"),
        ({"volumes_from": ("-x",)}, "not the name of a container"),
        ({"image": "cros/none:1"}, "cros/none:1 is not on the host"),
    ],
)
def test_what_docker_would_not_take_is_said(
    docker: Machine, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(PlanError, match=says):
        docker.plan(lambda: container("dome", replace(DOME, **change)))


def test_a_secret_in_the_environment_is_refused(docker: Machine) -> None:
    spec = replace(DOME, env={"PASSWORD": vault.add("hunter22", "env DOME_PASSWORD")})
    with pytest.raises(PlanError, match="has a secret in its spec"):
        docker.plan(lambda: container("dome", spec))


def test_what_a_docker_has_that_is_only_started_is_not_known(docker: Machine) -> None:
    def started() -> None:
        effects().restart_done("docker.service")
        both()

    docker.apply(both)
    (docker.stubs / "docker-down").touch()
    changes = docker.plan(started).changes
    assert {change.action for change in changes} == {"update"}
    assert {change.unknown for change in changes} == {
        ("what Docker has on the host: known once Docker answers",)
    }


def test_a_docker_that_does_not_answer_is_said(docker: Machine) -> None:
    (docker.stubs / "docker-down").touch()
    with pytest.raises(PlanError, match="does not answer"):
        docker.plan(lambda: container("dome", DOME))


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,3}", fullmatch=True), st.text(max_size=5)))
def test_equal_specs_have_equal_digests(env: dict[str, str]) -> None:
    turned = dict(reversed(list(env.items())))
    assert ContainerSpec("a", env=env).digest == ContainerSpec("a", env=turned).digest
    assert ContainerSpec("a", env=env).digest != ContainerSpec("a", env={**env, "LONG": ""}).digest


@pytest.mark.parametrize(
    ("coming", "expected"),
    [("", ["~ container dome"]), ("sha256:new", ["~ container dome"]), ("sha256:aa", [])],
    ids=["not known yet", "another one", "the one that it is made from"],
)
def test_an_image_that_becomes_current_makes_it_anew(
    docker: Machine, coming: str, expected: list[str]
) -> None:
    docker.apply(lambda: container("dome", DOME))

    def wanted() -> None:
        effects().images["cros/dome:1"] = coming
        container("dome", DOME)

    assert summary(docker.plan(wanted)) == expected
